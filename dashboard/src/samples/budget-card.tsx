/** What boxes may send in a day, to which streams it goes, and what of it is spent. */
import type { SampleBudgetShown } from '@edgeloop/protocol'
import { Button, Modal, NumberInput, Skeleton } from '@mantine/core'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayCount, sayShare } from '../shell/say.ts'
import { sampleBudgetQuery } from './field-queries.ts'
import classes from './samples.module.css'

/** Streams that are shown before somebody asks for all. */
const listedMax = 5

export function BudgetCard() {
  const query = useQuery(sampleBudgetQuery)
  return (
    <section className={classes.budget} aria-label="Budget">
      <QueryState query={query} skeleton={<Skeleton height={96} />}>
        {(budget) => <Budget budget={budget} />}
      </QueryState>
    </section>
  )
}

type StreamShare = SampleBudgetShown['streams'][number]

function Budget({ budget }: { budget: SampleBudgetShown }) {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [setting, setSetting] = useState(false)
  const refused = session.role === 'admin' ? undefined : 'Only an admin can set the budget'
  const sum = (of: (stream: StreamShare) => number) =>
    budget.streams.reduce((all, stream) => all + of(stream), 0)
  const streams = budget.streams.toSorted((a, b) => b.frames - a.frames || b.weight - a.weight)
  return (
    <>
      <div className={classes.budgetHead}>
        <h2>Today (UTC)</h2>
        <span>
          {sayCount(sum(({ frames }) => frames))} of {sayCount(budget.framesPerDay)} frames,{' '}
          {sayBytes(sum(({ bytes }) => bytes))} of {sayBytes(budget.bytesPerDay)}
        </span>
        <span className="dim">
          {budget.at === null ? (
            'the usual budget'
          ) : (
            <>
              set by {budget.by}, <Ago at={budget.at} />
            </>
          )}
        </span>
        <Button
          size="compact-xs"
          variant="default"
          disabled={refused !== undefined}
          title={refused}
          onClick={() => setSetting(true)}
        >
          Set the budget
        </Button>
      </div>
      <Bars streams={streams.slice(0, listedMax)} />
      {streams.length > listedMax && (
        <details>
          <summary>{sayCount(streams.length - listedMax)} more streams</summary>
          <Bars streams={streams.slice(listedMax)} />
        </details>
      )}
      {setting && <BudgetForm budget={budget} onClose={() => setSetting(false)} />}
    </>
  )
}

function Bars({ streams }: { streams: readonly StreamShare[] }) {
  if (streams.length === 0) return null
  return (
    <ul className={classes.bars}>
      {streams.map((stream) => {
        const { deviceId: device, streamId, frames, framesPerDay } = stream
        const spent = framesPerDay === 0 ? Number(frames > 0) : Math.min(1, frames / framesPerDay)
        return (
          <li key={`${device}/${streamId}`}>
            <Link to="/samples" search={{ device, stream: streamId }} className="clip">
              {device}/{streamId}
            </Link>
            <span className={classes.track} aria-hidden>
              <span className={classes.spent} style={{ width: `${spent * 100}%` }} />
            </span>
            <span title={whyOf(stream)}>
              {sayCount(frames)} of {sayCount(framesPerDay)} frames
              <span className={`dim ${classes.reasons}`}> {whyOf(stream)}</span>
            </span>
          </li>
        )
      })}
    </ul>
  )
}

/** What its share is made of. */
function whyOf({ wishedPerDay, doubt, alarm, labelled, mended }: StreamShare): string {
  return [
    `would keep ${sayCount(Math.round(wishedPerDay))} a day`,
    ...(doubt > 0 ? [`${sayShare(doubt)} in doubt`] : []),
    ...(labelled > 0 ? [`${sayShare(mended / labelled)} of ${sayCount(labelled)} mended`] : []),
    ...(alarm ? ['drift'] : []),
  ].join(', ')
}

function BudgetForm({ budget, onClose }: { budget: SampleBudgetShown; onClose: () => void }) {
  const queryClient = useQueryClient()
  const [frames, setFrames] = useState<string | number>(budget.framesPerDay)
  const [megabytes, setMegabytes] = useState<string | number>(budget.bytesPerDay / 1e6)
  const put = useMutation({
    mutationFn: () =>
      call('sampleBudgetPut', {
        body: { framesPerDay: Number(frames), bytesPerDay: Math.round(Number(megabytes) * 1e6) },
      }),
    onSuccess: (shown) => {
      queryClient.setQueryData(sampleBudgetQuery.queryKey, shown)
      onClose()
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    put.mutate()
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title="What all boxes together may send in a day"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form className={classes.form} onSubmit={submit}>
        <NumberInput
          label="Frames"
          min={0}
          max={10_000_000}
          allowDecimal={false}
          value={frames}
          onChange={setFrames}
          data-autofocus
        />
        <NumberInput
          label="Megabytes"
          min={0}
          max={100_000_000}
          value={megabytes}
          onChange={setMegabytes}
        />
        <p className="dim">
          A fifth goes to all streams alike; the rest to those that would keep more, that the model
          is unsure of, in which people had to mend something, and that drift.
        </p>
        {put.error && (
          <p className={classes.failed} role="alert">
            {put.error.message}
          </p>
        )}
        <Button type="submit" loading={put.isPending} disabled={frames === '' || megabytes === ''}>
          Set the budget
        </Button>
      </form>
    </Modal>
  )
}
