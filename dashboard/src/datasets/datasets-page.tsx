/** The datasets of this hub: labelled pictures that are dropped here, or sent by the command line. */
import type { DatasetRow } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { IconPhotoPlus } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import { NewButton } from '../shell/new-button.tsx'
import { Ago } from '../shell/now.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { datasetListQuery, useDatasetChanges } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { DropArea } from './drop-area.tsx'
import type { Dropped } from './dropped.ts'
import { SamplePicture } from './sample-picture.tsx'

const AddDataset = lazy(async () => ({ default: (await import('./add-dataset.tsx')).AddDataset }))

export function DatasetsPage() {
  useDatasetChanges()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(datasetListQuery)
  /** What a new dataset is made of; null for nothing yet. */
  const [adding, setAdding] = useState<Dropped | null>()
  const refused = session.role === 'viewer' ? 'Only an operator can add datasets' : undefined
  return (
    <Page
      title="Datasets"
      aside={<NewButton word="Add a dataset" refused={refused} onClick={() => setAdding(null)} />}
    >
      <DropArea disabled={refused !== undefined} onDropped={setAdding}>
        <QueryState query={query} skeleton={<TableSkeleton rows={4} />}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty
                icon={<IconPhotoPlus size={32} stroke={1.5} />}
                title="No datasets yet"
                text="Drop an archive or a folder of labelled pictures here: COCO, YOLO, Pascal VOC, one folder a class, or MNIST. What is in a dataset is frozen as a version, which models are trained with."
              />
            ) : (
              <DatasetTable rows={rows} />
            )
          }
        </QueryState>
      </DropArea>
      <OnDemand when={adding !== undefined}>
        {adding !== undefined && (
          <AddDataset
            dropped={adding ?? undefined}
            onClose={() => setAdding(undefined)}
            onAdded={(dataset) => {
              setAdding(undefined)
              void navigate({ to: '/datasets/$dataset', params: { dataset } })
            }}
          />
        )}
      </OnDemand>
    </Page>
  )
}

function DatasetTable(props: { rows: readonly DatasetRow[] }) {
  return (
    <Scroller label="Datasets">
      <Table className={`${tables.table} ${classes.table}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Dataset</Table.Th>
            <Table.Th>
              <span className="hidden-visually">Pictures</span>
            </Table.Th>
            <Table.Th className={tables.number ?? ''}>Samples</Table.Th>
            <Table.Th className={tables.number ?? ''}>Annotated</Table.Th>
            <Table.Th className={tables.number ?? ''}>Labels</Table.Th>
            <Table.Th className={tables.number ?? ''}>Versions</Table.Th>
            <Table.Th>Changed</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.rows.map((row) => (
            <Table.Tr key={row.name}>
              <Table.Td className={classes.name ?? ''}>
                <Link to="/datasets/$dataset" params={{ dataset: row.name }}>
                  {row.name}
                </Link>
                {row.description && <div className="dim">{row.description}</div>}
              </Table.Td>
              <Table.Td>
                <div className={classes.faces}>
                  {row.faces.map((digest) => (
                    <span key={digest} className={classes.face}>
                      <SamplePicture
                        sample={{ digest, width: 4, height: 3, annotations: [] }}
                        small
                        bare
                      />
                    </span>
                  ))}
                </div>
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayCount(row.samples)}</Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {row.samples === 0 ? '–' : `${Math.floor((100 * row.annotated) / row.samples)} %`}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{row.labels.length}</Table.Td>
              <Table.Td className={tables.number ?? ''}>{row.versions}</Table.Td>
              <Table.Td>
                <Ago at={row.changedAt} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}
