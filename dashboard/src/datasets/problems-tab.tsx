/** What is odd about a dataset: broken pictures, boxes that cannot be meant, pictures that are nearly the same. */
import type { DatasetInspection } from '@edgeloop/protocol'
import { Button, Skeleton, Table } from '@mantine/core'
import { IconCircleCheck, IconZoomQuestion } from '@tabler/icons-react'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { call } from '../api/call.ts'
import { jobListQuery } from '../models/model-queries.ts'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import tables from '../shell/tables.module.css'
import { datasetQuery, inspectionQuery, subjectOf } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { problemWord } from './problem-words.ts'
import { SamplePicture } from './sample-picture.tsx'

const parent = getRouteApi('/in/datasets/$dataset')

/** Groups of near copies that are drawn, and pictures of each. */
const groupsDrawn = 24
const picturesDrawn = 6

export function ProblemsTab() {
  const { dataset } = parent.useParams()
  const query = useQuery(inspectionQuery(dataset))
  return (
    <QueryState query={query} skeleton={<Skeleton height={300} />}>
      {(inspection) =>
        inspection ? (
          <Found dataset={dataset} inspection={inspection} />
        ) : (
          <Empty
            icon={<IconZoomQuestion size={32} stroke={1.5} />}
            title="Nobody has looked yet"
            text="Each picture is opened, boxes are looked at, and pictures that are nearly the same are found. It is done after an import from here, and before a version is frozen."
          >
            <LookAgain dataset={dataset} word="Look now" />
          </Empty>
        )
      }
    </QueryState>
  )
}

function LookAgain(props: { dataset: string; word: string }) {
  const { dataset } = props
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const look = useMutation({
    mutationFn: () => call('datasetInspect', { params: { dataset } }),
    onSuccess: () => queryClient.invalidateQueries(jobListQuery(subjectOf(dataset))),
  })
  const refused = session.role === 'viewer' ? 'Only an operator can do this' : undefined
  return (
    <>
      <Button
        size="xs"
        variant="default"
        loading={look.isPending}
        disabled={refused !== undefined}
        title={refused}
        onClick={() => look.mutate()}
      >
        {props.word}
      </Button>
      {look.error && (
        <p className={classes.failed} role="alert">
          {look.error.message}
        </p>
      )}
    </>
  )
}

function Found(props: { dataset: string; inspection: DatasetInspection }) {
  const { dataset, inspection } = props
  const { data: detail } = useQuery(datasetQuery(dataset))
  const changed = detail !== undefined && detail.dataset.revision !== inspection.revision
  return (
    <>
      <div className={classes.toolbar}>
        <p className="dim">
          Looked at <Ago at={inspection.at} />
          {changed && '; the dataset has changed since'}
          {!inspection.complete && '; there were too many pictures to compare them all'}
        </p>
        {changed && <LookAgain dataset={dataset} word="Look again" />}
      </div>
      {inspection.problems.length === 0 && inspection.copiesTotal === 0 && (
        <Empty
          icon={<IconCircleCheck size={32} stroke={1.5} />}
          title="Nothing odd was found"
          text="Every picture opens, and no box looks wrong."
        />
      )}
      <div className={classes.columns}>
        {inspection.problems.length > 0 && <Kinds {...props} />}
        {inspection.listed.length > 0 && <Listed {...props} />}
      </div>
      {inspection.copiesTotal > 0 && <Copies {...props} />}
    </>
  )
}

function Kinds({ dataset, inspection }: { dataset: string; inspection: DatasetInspection }) {
  const hasSamples = (kind: string) =>
    inspection.listed.some((one) => one.kind === kind && one.digest !== null)
  return (
    <Scroller label="Kinds of problems">
      <Table className={`${tables.table} ${classes.counts}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Problem</Table.Th>
            <Table.Th className={tables.number ?? ''}>Times</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {inspection.problems.map(({ kind, count }) => (
            <Table.Tr key={kind}>
              <Table.Td>
                {hasSamples(kind) ? (
                  <Link to="/datasets/$dataset" params={{ dataset }} search={{ problem: kind }}>
                    {problemWord(kind)}
                  </Link>
                ) : (
                  problemWord(kind)
                )}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>{sayCount(count)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}

function Listed({ dataset, inspection }: { dataset: string; inspection: DatasetInspection }) {
  return (
    <Scroller label="Problems one by one">
      <Table className={`${tables.table} ${classes.counts}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Sample</Table.Th>
            <Table.Th>What is odd</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {inspection.listed.slice(0, 200).map((one, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole, never reordered
            <Table.Tr key={at}>
              <Table.Td className={classes.name ?? ''}>
                {one.digest === null ? (
                  <bdi>{one.name}</bdi>
                ) : (
                  <Link
                    to="/datasets/$dataset"
                    params={{ dataset }}
                    search={{ problem: one.kind, sample: one.digest }}
                  >
                    <bdi>{one.name}</bdi>
                  </Link>
                )}
              </Table.Td>
              <Table.Td className={classes.name ?? ''}>{one.text}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}

function Copies({ dataset, inspection }: { dataset: string; inspection: DatasetInspection }) {
  const { copies, copiesTotal } = inspection
  return (
    <section className={classes.copies} aria-labelledby="near-copies">
      <h2 id="near-copies">Nearly the same: {sayOf(copiesTotal, 'group')}</h2>
      <p className="dim">The pictures of a group are always on one side of a split.</p>
      <ul>
        {copies.slice(0, groupsDrawn).map((group) => (
          <li key={group[0]}>
            {group.slice(0, picturesDrawn).map((digest) => (
              <Link
                key={digest}
                to="/datasets/$dataset"
                params={{ dataset }}
                search={{ problem: 'near-copy', sample: digest }}
                className={classes.face ?? ''}
                aria-label={`Sample ${digest.slice(0, 12)}`}
              >
                <SamplePicture
                  sample={{ digest, width: 4, height: 3, annotations: [] }}
                  small
                  bare
                />
              </Link>
            ))}
            {group.length > picturesDrawn && (
              <span className="dim">and {group.length - picturesDrawn} more</span>
            )}
          </li>
        ))}
      </ul>
      {copiesTotal > groupsDrawn && (
        <Link to="/datasets/$dataset" params={{ dataset }} search={{ problem: 'near-copy' }}>
          Show all of them
        </Link>
      )}
    </section>
  )
}
