/** Pictures that look like the one at hand, beside it: what else should be asked while the eye is on it. */
import type { TasksAdded } from '@edgeloop/protocol'
import { Button, Skeleton } from '@mantine/core'
import { queryOptions, useMutation, useQuery } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { SamplePicture } from '../datasets/sample-picture.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import type { Frame } from './desk.ts'
import classes from './label-page.module.css'

const shownMax = 12

const similarQuery = (digest: string) =>
  queryOptions({
    queryKey: ['similar', digest],
    queryFn: ({ signal }) =>
      call('sampleSimilar', { params: { digest }, query: { limit: shownMax }, signal }),
  })

/** @param onAdded the queue has more tasks */
export function Similar(props: { queue: string; frame: Frame; onAdded: () => void }) {
  const { taskId, sample } = props.frame.task
  const query = useQuery(similarQuery(sample.digest))
  return (
    <section aria-label="More like this">
      <h2>More like this</h2>
      <QueryState query={query} skeleton={<Skeleton height={120} />}>
        {({ similar, compared }) =>
          similar.length === 0 ? (
            <p className="dim">
              {compared === 0
                ? 'It is not known yet what pictures here look like.'
                : `Nothing of ${sayOf(compared, 'picture')} looks like it.`}
            </p>
          ) : (
            <>
              <ul className={classes.similar}>
                {similar.map(({ digest, likeness, streamId }) => (
                  <li key={digest} title={streamId}>
                    <SamplePicture
                      sample={{
                        digest,
                        width: sample.width,
                        height: sample.height,
                        annotations: [],
                      }}
                      small
                      bare
                    />
                    <span className="dim">{Math.round(likeness * 100)} % alike</span>
                  </li>
                ))}
              </ul>
              <AskFor
                key={sample.digest}
                queue={props.queue}
                digests={similar.map(({ digest }) => digest)}
                why={`looks like task ${taskId}`}
                onAdded={props.onAdded}
              />
            </>
          )
        }
      </QueryState>
    </section>
  )
}

function AskFor(props: { queue: string; digests: string[]; why: string; onAdded: () => void }) {
  const { queue, digests, why } = props
  const add = useMutation({
    mutationFn: () => call('tasksAdd', { params: { queue }, body: { digests, why } }),
    onSuccess: props.onAdded,
  })
  return (
    <>
      <Button
        size="compact-xs"
        variant="default"
        loading={add.isPending}
        disabled={add.isSuccess}
        onClick={() => add.mutate()}
      >
        Put them into the queue
      </Button>
      <p className="dim" role="status">
        {add.data && sayAdded(add.data)}
        {add.error?.message}
      </p>
    </>
  )
}

const sayAdded = ({ added, already, dropped }: TasksAdded): string =>
  [
    `${added} added`,
    ...(already > 0 ? [`${already} were there`] : []),
    ...(dropped > 0 ? [`${dropped} less useful ones gave way`] : []),
  ].join(', ')
