/** How often each label occurs, and where samples come from: what is rare is learned badly. */
import type { DatasetDetail } from '@edgeloop/protocol'
import { Skeleton, Table } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { datasetQuery } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { Swatch } from './sample-view.tsx'

const parent = getRouteApi('/in/datasets/$dataset')

export function LabelsTab() {
  const { dataset } = parent.useParams()
  const query = useQuery(datasetQuery(dataset))
  return (
    <QueryState query={query} skeleton={<Skeleton height={300} />}>
      {(detail) =>
        detail.labelCounts.length === 0 ? (
          <Empty
            title="No labels yet"
            text="They come with what is imported, in the order of a model’s outputs."
          />
        ) : (
          <div className={classes.columns}>
            <Labels detail={detail} />
            {detail.sources.length > 0 && <Sources detail={detail} />}
          </div>
        )
      }
    </QueryState>
  )
}

function Labels({ detail }: { detail: DatasetDetail }) {
  const most = Math.max(1, ...detail.labelCounts.map(({ annotations }) => annotations))
  return (
    <Scroller label="Labels">
      <Table className={`${tables.table} ${classes.counts}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Label</Table.Th>
            <Table.Th className={tables.number ?? ''}>Annotations</Table.Th>
            <Table.Th>
              <span className="hidden-visually">Share of the most frequent</span>
            </Table.Th>
            <Table.Th className={tables.number ?? ''}>Samples</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {detail.labelCounts.map(({ label, samples, annotations }) => (
            <Table.Tr key={label}>
              <Table.Td>
                <Swatch label={label} />
                <Link
                  to="/datasets/$dataset"
                  params={{ dataset: detail.dataset.name }}
                  search={{ label }}
                >
                  <bdi>{label}</bdi>
                </Link>
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayCount(annotations)}</Table.Td>
              <Table.Td className={classes.barCell ?? ''}>
                <span
                  className={classes.bar}
                  style={{ width: `${(100 * annotations) / most}%` }}
                  aria-hidden
                />
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayCount(samples)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}

function Sources({ detail }: { detail: DatasetDetail }) {
  const most = Math.max(1, ...detail.sources.map(({ samples }) => samples))
  return (
    <Scroller label="Where samples come from">
      <Table className={`${tables.table} ${classes.counts}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Site and stream</Table.Th>
            <Table.Th className={tables.number ?? ''}>Samples</Table.Th>
            <Table.Th>
              <span className="hidden-visually">Share of the most frequent</span>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {detail.sources.map(({ site, stream, samples }) => (
            <Table.Tr key={`${site}/${stream}`}>
              <Table.Td>
                {stream === null ? (
                  <span className="dim">{site ?? 'Not known'}</span>
                ) : (
                  <Link
                    to="/datasets/$dataset"
                    params={{ dataset: detail.dataset.name }}
                    search={{ stream, ...(site !== null && { site }) }}
                  >
                    {site === null ? stream : `${site} / ${stream}`}
                  </Link>
                )}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayCount(samples)}</Table.Td>
              <Table.Td className={classes.barCell ?? ''}>
                <span
                  className={classes.bar}
                  style={{ width: `${(100 * samples) / most}%` }}
                  aria-hidden
                />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}
