/** The models of this hub: a file dropped here is looked into and kept as the next version of its name. */
import type { ModelRow } from '@edgeloop/protocol'
import { Button, FileButton, Table } from '@mantine/core'
import { IconPlus, IconUpload } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { type DragEvent, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { TableSkeleton } from '../people/table-skeleton.tsx'
import dropClasses from '../shell/drop.module.css'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayCount } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { AddModel } from './add-model.tsx'
import { compilerQuery, modelListQuery, useModelChanges } from './model-queries.ts'
import classes from './models.module.css'

export function ModelsPage() {
  useModelChanges()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(modelListQuery)
  const { data: compiler } = useQuery(compilerQuery)
  const [file, setFile] = useState<File>()
  const [over, setOver] = useState(false)
  const whyNot =
    session.role === 'viewer'
      ? 'Only an operator can add models'
      : compiler?.available === false
        ? 'This hub was started without a compiler'
        : undefined
  const mayAdd = whyNot === undefined && compiler !== undefined

  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    const [dropped] = event.dataTransfer.files
    if (mayAdd && dropped) setFile(dropped)
  }
  const choose = (
    <FileButton accept=".onnx" onChange={(chosen) => chosen && setFile(chosen)}>
      {(given) => (
        <Button
          {...given}
          size="xs"
          leftSection={<IconPlus size={14} aria-hidden />}
          disabled={!mayAdd}
          title={whyNot}
        >
          Add a model
        </Button>
      )}
    </FileButton>
  )
  return (
    <Page title="Models" aside={choose}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a second way for what the button does */}
      <div
        className={dropClasses.drop}
        data-over={over && mayAdd}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={(event) => {
          if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false)
        }}
        onDrop={drop}
      >
        <QueryState query={query} skeleton={<TableSkeleton rows={4} />}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty
                icon={<IconUpload size={32} stroke={1.5} />}
                title="No models yet"
                text="Drop an ONNX file here. The hub looks into it, and compiles it for each kind of box with pictures of your own cameras."
              />
            ) : (
              <ModelTable rows={rows} />
            )
          }
        </QueryState>
      </div>
      {compiler && (
        <AddModel
          file={file}
          compiler={compiler}
          onClose={() => setFile(undefined)}
          onAdded={({ name, version }) => {
            setFile(undefined)
            void navigate({ to: '/models/$name/$version', params: { name, version: `${version}` } })
          }}
        />
      )}
    </Page>
  )
}

function ModelTable(props: { rows: readonly ModelRow[] }) {
  return (
    <Scroller label="Models">
      <Table className={`${tables.table} ${classes.table}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Model</Table.Th>
            <Table.Th className={tables.number ?? ''}>Newest</Table.Th>
            <Table.Th className={tables.number ?? ''}>Champion</Table.Th>
            <Table.Th>Layout</Table.Th>
            <Table.Th className={tables.number ?? ''}>Labels</Table.Th>
            <Table.Th className={tables.number ?? ''}>Parameters</Table.Th>
            <Table.Th className={tables.number ?? ''}>Size</Table.Th>
            <Table.Th className={tables.number ?? ''}>Artifacts</Table.Th>
            <Table.Th>Added</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.rows.map(({ newest, artifacts, champion }) => (
            <Table.Tr key={newest.name}>
              <Table.Td className={classes.name ?? ''}>
                <Link
                  to="/models/$name/$version"
                  params={{ name: newest.name, version: `${newest.version}` }}
                >
                  {newest.name}
                </Link>
                {newest.note && <div className="dim">{newest.note}</div>}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{newest.version}</Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {champion === null ? (
                  '–'
                ) : (
                  <Link
                    to="/models/$name/$version"
                    params={{ name: newest.name, version: `${champion}` }}
                  >
                    {champion}
                  </Link>
                )}
              </Table.Td>
              <Table.Td>{newest.layout}</Table.Td>
              <Table.Td className={tables.number ?? ''}>{newest.labels.length}</Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {sayCount(newest.inspection.parameters)}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayBytes(newest.sizeBytes)}</Table.Td>
              <Table.Td className={tables.number ?? ''}>{artifacts}</Table.Td>
              <Table.Td>
                <Ago at={newest.createdAt} /> <span className="dim">by {newest.by}</span>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}
