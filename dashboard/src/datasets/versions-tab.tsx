/** What was frozen of a dataset: how many samples on which side, and how that differs from the version before. */
import {
  type DatasetVersion,
  datasetFormats,
  pathOf,
  routes,
  type SplitCounts,
} from '@edgeloop/protocol'
import { Button, Menu, Skeleton, Table } from '@mantine/core'
import { IconSnowflake } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Ago } from '../shell/now.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { versionListQuery } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { formatWords } from './format-words.ts'

const parent = getRouteApi('/in/datasets/$dataset')

export function VersionsTab() {
  const { dataset } = parent.useParams()
  const query = useQuery(versionListQuery(dataset))
  return (
    <QueryState query={query} skeleton={<Skeleton height={200} />}>
      {(versions) =>
        versions.length === 0 ? (
          <Empty
            icon={<IconSnowflake size={32} stroke={1.5} />}
            title="Nothing was frozen yet"
            text="A model is trained with a frozen version: whatever becomes of the dataset, it can be said what the model has seen."
          />
        ) : (
          <Versions versions={versions} />
        )
      }
    </QueryState>
  )
}

const sides = ['train', 'validation', 'test'] as const

function Versions({ versions }: { versions: readonly DatasetVersion[] }) {
  return (
    <Scroller label="Frozen versions">
      <Table className={`${tables.table} ${classes.table}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th className={tables.number ?? ''}>Version</Table.Th>
            <Table.Th className={tables.number ?? ''}>Samples</Table.Th>
            <Table.Th className={tables.number ?? ''}>Change</Table.Th>
            <Table.Th className={tables.number ?? ''}>Train</Table.Th>
            <Table.Th className={tables.number ?? ''}>Validation</Table.Th>
            <Table.Th className={tables.number ?? ''}>Test</Table.Th>
            <Table.Th>Split</Table.Th>
            <Table.Th>Note</Table.Th>
            <Table.Th>Digest</Table.Th>
            <Table.Th>Frozen</Table.Th>
            <Table.Th>
              <span className="hidden-visually">Download</span>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {versions.map((one, at) => (
            <Row key={one.version} version={one} before={versions[at + 1]} />
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}

function Row(props: { version: DatasetVersion; before: DatasetVersion | undefined }) {
  const { version, before } = props
  const { dataset, samples, folds, note, digest } = version
  const link = (split?: (typeof sides)[number]) => ({
    to: '/datasets/$dataset' as const,
    params: { dataset },
    search: { version: version.version, ...(split && { split }) },
  })
  const change = before && samples - before.samples
  return (
    <Table.Tr>
      <Table.Td className={tables.number ?? ''}>
        <Link {...link()}>{version.version}</Link>
      </Table.Td>
      <Table.Td className={tables.number ?? ''}>{sayCount(samples)}</Table.Td>
      <Table.Td className={tables.number ?? ''}>
        {change === undefined ? '' : change > 0 ? `+${sayCount(change)}` : sayCount(change)}
      </Table.Td>
      {sides.map((side) => (
        <Table.Td key={side} className={tables.number ?? ''}>
          {folds.length === 1 && folds[0]?.[side] ? (
            <Link {...link(side)}>{sayCount(folds[0][side])}</Link>
          ) : (
            saySide(folds, side)
          )}
        </Table.Td>
      ))}
      <Table.Td>{saySplit(version)}</Table.Td>
      <Table.Td className={classes.name ?? ''}>{note}</Table.Td>
      <Table.Td className="mono" title={`SHA-256 ${digest}`}>
        {digest.slice(0, 12)}
      </Table.Td>
      <Table.Td>
        <Ago at={version.createdAt} /> <span className="dim">by {version.by}</span>
      </Table.Td>
      <Table.Td>
        <Menu position="bottom-end">
          <Menu.Target>
            <Button size="compact-xs" variant="default">
              Download
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {datasetFormats.map((format) => (
              <Menu.Item
                key={format}
                component="a"
                href={pathOf(
                  routes.datasetExport,
                  { dataset, version: version.version },
                  { format },
                )}
                download
              >
                {formatWords[format]}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      </Table.Td>
    </Table.Tr>
  )
}

/** `20–22` over folds. */
function saySide(folds: readonly SplitCounts[], side: (typeof sides)[number]): string {
  const counts = folds.map((one) => one[side])
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  return least === most ? sayCount(least) : `${sayCount(least)}–${sayCount(most)}`
}

function saySplit({ split, folds }: DatasetVersion): string {
  const { by, stratify, seed = 1 } = split
  return [
    folds.length > 1 ? `${folds.length} folds` : '',
    by === undefined ? '' : `by ${by}`,
    stratify === false ? 'not stratified' : '',
    folds[0] && folds[0].leftOut > 0 ? `${folds[0].leftOut} left out` : '',
    `seed ${seed}`,
  ]
    .filter((word) => word !== '')
    .join(', ')
}
