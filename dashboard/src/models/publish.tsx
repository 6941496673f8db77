/** Makes a version something boxes may be offered, and says what each way of sending it costs and where it runs. */
import type { ModelVersion, Published } from '@edgeloop/protocol'
import { Button, Skeleton, Table } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/call.ts'
import { JobRow } from '../jobs/job-row.tsx'
import { CountBar } from '../rollouts/count-bar.tsx'
import { rolloutsOfQuery, useRolloutChanges } from '../rollouts/rollout-queries.ts'
import { sayBoxes, sayRollout } from '../rollouts/rollout-words.ts'
import { FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { jobListQuery, publishedQuery } from './model-queries.ts'
import classes from './models.module.css'

export function Publish({ model, mayChange }: { model: ModelVersion; mayChange: boolean }) {
  const { name, version } = model
  const queryClient = useQueryClient()
  const subject = `${name}/${version}`
  const published = useQuery(publishedQuery(name, version))
  const jobs = useQuery(jobListQuery(subject))
  const publish = useMutation({
    mutationFn: () => call('modelPublish', { params: { name, version }, body: {} }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: jobListQuery(subject).queryKey }),
  })
  const mine = (jobs.data ?? []).filter(({ kind }) => kind === 'publish')
  const open = mine.some(({ state }) => state === 'queued' || state === 'running')
  // The newest alone: what came of the others stands below.
  const shown = mine.filter(({ state }, at) => at === 0 && state !== 'done')
  const refused = mayChange ? undefined : 'Only an operator can publish'
  const there = (published.data?.length ?? 0) > 0
  return (
    <section className={classes.section} aria-labelledby="published">
      <div className={classes.sectionHead}>
        <h2 id="published">For boxes</h2>
        <div className={classes.acts}>
          <Button
            size="xs"
            variant={there ? 'default' : 'filled'}
            disabled={refused !== undefined || open}
            title={refused ?? (open ? 'It is being published' : undefined)}
            loading={publish.isPending}
            onClick={() => publish.mutate()}
          >
            {there ? 'Publish again' : 'Publish'}
          </Button>
          {there && (
            <Button
              size="xs"
              disabled={!mayChange}
              renderRoot={(rest) => (
                <Link {...rest} to="/rollouts/new" search={{ name, version, step: 2 }} />
              )}
            >
              Roll it out…
            </Button>
          )}
        </div>
      </div>
      {publish.error && (
        <p className={classes.failed} role="alert">
          {publish.error.message}
        </p>
      )}
      {shown.length > 0 && (
        <ul className={classes.jobs}>
          {shown.map((job) => (
            <JobRow key={job.jobId} job={job} what="Publication" mayChange={mayChange} />
          ))}
        </ul>
      )}
      <QueryState query={published} skeleton={<Skeleton height={60} />}>
        {(rows) =>
          rows.length === 0 ? (
            <p className="dim">
              Not published: no box can be offered it. Publishing signs what was compiled, and makes
              the small ways to send it to boxes that run an earlier version.
            </p>
          ) : (
            <Ways rows={rows} />
          )
        }
      </QueryState>
      <WhereItRuns name={name} version={version} />
    </section>
  )
}

const codecWords: Readonly<Record<string, string>> = {
  delta: 'delta',
  'zstd-base': 'zstd with the base',
  zstd: 'whole, zstd',
}

function Ways({ rows }: { rows: readonly Published[] }) {
  return (
    <FramedTable
      label="Ways to send it"
      columns={[
        ...['For', 'Way', 'To boxes that run'],
        ...[{ word: 'Bytes', right: true } as const, { word: 'Of the file', right: true } as const],
        'Published',
      ]}
      width="wide"
    >
      {rows.flatMap((one) =>
        one.encodings.map((encoding, at) => (
          <Table.Tr key={encoding.digest}>
            <Table.Td>
              {at === 0 && (
                <>
                  {one.target}
                  {one.targets.length > 1 && (
                    <span className="dim" title={one.targets.join(', ')}>
                      {' '}
                      and {one.targets.length - 1} more
                    </span>
                  )}
                </>
              )}
            </Table.Td>
            <Table.Td>{codecWords[encoding.codec] ?? encoding.codec}</Table.Td>
            <Table.Td>
              {encoding.baseDigest === undefined
                ? 'anything'
                : encoding.baseVersion === null
                  ? `a file of their own, ${encoding.baseDigest.slice(0, 8)}`
                  : `version ${encoding.baseVersion}`}
            </Table.Td>
            <Table.Td ta="right">{sayCount(encoding.lengthBytes)}</Table.Td>
            <Table.Td ta="right">{sayLess(encoding.lengthBytes, one.file.lengthBytes)}</Table.Td>
            <Table.Td>
              {at === 0 && (
                <>
                  {!one.signed && <Status kind="warn" word="Waits for a signature" />}{' '}
                  <Ago at={one.publishedAt} /> <span className="dim">by {one.by}</span>
                  <div className="dim">
                    {sayBytes(one.file.lengthBytes)}, until {one.expiresAt.slice(0, 10)}
                  </div>
                </>
              )}
            </Table.Td>
          </Table.Tr>
        )),
      )}
    </FramedTable>
  )
}

/** `1/18`, or a share where it is nearly all. */
const sayLess = (bytes: number, whole: number): string =>
  bytes * 2 <= whole ? `1/${Math.round(whole / bytes)}` : `${Math.round((100 * bytes) / whole)} %`

function WhereItRuns({ name, version }: { name: string; version: number }) {
  useRolloutChanges()
  const { data: rollouts = [] } = useQuery(rolloutsOfQuery(name))
  const mine = rollouts.filter((row) => row.version === version)
  if (mine.length === 0) return null
  const confirmed = mine.reduce((sum, { counts }) => sum + counts.confirmed, 0)
  return (
    <>
      <h3>Runs on {sayBoxes(confirmed)}</h3>
      <ul className={classes.runsOn}>
        {mine.map(({ rolloutId, counts, createdAt, ...row }) => {
          const { kind, word } = sayRollout({ ...row, counts })
          return (
            <li key={rolloutId}>
              <Link
                to="/rollouts/$rolloutId"
                params={{ rolloutId }}
                search={counts.confirmed > 0 ? { state: 'committed' } : {}}
              >
                {sayCount(counts.confirmed)} of {sayBoxes(counts.devices)}
              </Link>
              <CountBar counts={counts} label={`Boxes of the rollout of ${name}/${version}`} />
              <Status kind={kind} word={word} /> <Ago at={createdAt} />
            </li>
          )
        })}
      </ul>
    </>
  )
}
