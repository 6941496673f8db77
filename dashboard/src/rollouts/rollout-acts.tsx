/** What can be done with a rollout: each act says how many boxes it hits before it is done. */
import { isRolloutOver, type RolloutDetail } from '@edgeloop/protocol'
import { Button, Group, Modal, Switch } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { sayCount } from '../shell/say.ts'
import { rolloutListQuery, rolloutQuery } from './rollout-queries.ts'
import { heldStage, hitsOf, sayBoxes } from './rollout-words.ts'
import classes from './rollouts.module.css'

export function RolloutActs(props: { detail: RolloutDetail; mayChange: boolean }) {
  const { detail, mayChange } = props
  const { rollout, stages } = detail
  const { rolloutId, state, counts } = rollout
  const queryClient = useQueryClient()
  const [aborting, setAborting] = useState(false)
  const waitsFor = heldStage(rollout, stages)
  const waitsForName = stages[waitsFor]?.name
  const took = (next: RolloutDetail) => {
    queryClient.setQueryData(rolloutQuery(rolloutId).queryKey, next)
    void queryClient.invalidateQueries(rolloutListQuery)
    void queryClient.invalidateQueries({ queryKey: [...rolloutQuery(rolloutId).queryKey, 'boxes'] })
  }
  const act = useMutation({
    mutationFn: async (what: 'pause' | 'resume' | 'approve' | 'retry') => {
      const params = { rolloutId }
      if (what === 'pause') return await call('rolloutPause', { params })
      if (what === 'resume') return await call('rolloutResume', { params })
      if (what === 'retry') return await call('rolloutRetry', { params, body: {} })
      return await call('rolloutApprove', { params, body: { stage: waitsFor } })
    },
    onSuccess: took,
    onError: (error) => {
      notifications.show({ color: 'bad', message: error.message })
      void queryClient.invalidateQueries({ queryKey: rolloutQuery(rolloutId).queryKey })
    },
  })
  const refused = mayChange ? undefined : 'Only an operator can change rollouts'
  const button = (
    what: 'pause' | 'resume' | 'approve' | 'retry',
    word: string,
    why: string | undefined,
  ) => (
    <Button
      size="xs"
      variant={what === 'approve' ? 'filled' : 'default'}
      disabled={(refused ?? why) !== undefined}
      title={refused ?? why}
      loading={act.isPending && act.variables === what}
      onClick={() => act.mutate(what)}
    >
      {word}
    </Button>
  )
  const over = isRolloutOver(rollout)
  // Boxes that run it can be taken back also when nothing is offered any more.
  const back = hitsOf(stages).back
  const whyNoAbort =
    state === 'superseded'
      ? 'A newer rollout has its boxes'
      : over && back === 0
        ? 'It is over, and no box runs it'
        : undefined
  return (
    <div className={classes.acts}>
      {state === 'held' &&
        button(
          'approve',
          waitsForName === undefined
            ? 'Approve the end'
            : `Approve stage ${waitsFor + 1}, ${waitsForName}`,
          undefined,
        )}
      {state === 'paused'
        ? button('resume', 'Resume', undefined)
        : button('pause', 'Pause', over ? 'It is over' : undefined)}
      {button(
        'retry',
        counts.failed > 0 ? `Try ${sayBoxes(counts.failed)} again` : 'Try again',
        counts.failed === 0
          ? 'No box has failed'
          : over && state !== 'complete'
            ? 'It is over: begin a new rollout'
            : undefined,
      )}
      <Button
        size="xs"
        color="bad"
        variant="default"
        disabled={(refused ?? whyNoAbort) !== undefined}
        title={refused ?? whyNoAbort}
        onClick={() => setAborting(true)}
      >
        {over ? 'Roll back…' : 'Abort…'}
      </Button>
      <Modal
        opened={aborting}
        onClose={() => setAborting(false)}
        title={over ? 'Roll back' : 'Abort the rollout'}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {aborting && (
          <Abort
            detail={detail}
            onClose={() => setAborting(false)}
            onDone={(next) => {
              setAborting(false)
              took(next)
            }}
          />
        )}
      </Modal>
    </div>
  )
}

function Abort(props: {
  detail: RolloutDetail
  onClose: () => void
  onDone: (next: RolloutDetail) => void
}) {
  const { rollout, stages } = props.detail
  const [rollBack, setRollBack] = useState(true)
  const { back, givenUp, spared } = hitsOf(stages)
  const abort = useMutation({
    mutationFn: () =>
      call('rolloutAbort', { params: { rolloutId: rollout.rolloutId }, body: { rollBack } }),
    onSuccess: props.onDone,
  })
  const hit = rollBack ? back : 0
  return (
    <div className={classes.form}>
      <ul className={classes.hits}>
        <li>
          <b>{sayBoxes(back)}</b>{' '}
          {rollBack ? 'go back to what they ran before' : 'keep the version'}
        </li>
        <li>
          <b>{sayBoxes(givenUp)}</b> on the way give it up, and stay with what they run
        </li>
        <li>
          <b>{sayBoxes(spared)}</b> are never offered it
        </li>
      </ul>
      <Switch
        label={`Roll ${sayCount(back)} back`}
        checked={rollBack}
        disabled={back === 0}
        onChange={(event) => setRollBack(event.currentTarget.checked)}
      />
      <p className="dim">
        An abort cannot be taken back; a new rollout of the same version can be begun.
      </p>
      {abort.error && (
        <p className={classes.failed} role="alert">
          {abort.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={props.onClose} data-autofocus>
          Cancel
        </Button>
        <Button color="bad" loading={abort.isPending} onClick={() => abort.mutate()}>
          {hit > 0 ? `Roll ${sayBoxes(hit)} back` : 'Abort, roll nothing back'}
        </Button>
      </Group>
    </div>
  )
}
