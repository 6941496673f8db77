/** Pause, resume and cancel: what a run allows is enabled, the rest says why not. */
import type { Run } from '@edgeloop/protocol'
import { Button } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { runQuery } from './run-queries.ts'

type Verb = 'runPause' | 'runResume' | 'runCancel'

export function RunActs({ run, mayChange }: { run: Run; mayChange: boolean }) {
  const queryClient = useQueryClient()
  const { runId, state, asked } = run
  const act = useMutation({
    mutationFn: (verb: Verb) => call(verb, { params: { runId } }),
    onSuccess: (changed) => {
      queryClient.setQueryData(
        runQuery(runId).queryKey,
        (detail) => detail && { ...detail, run: changed },
      )
    },
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
  })
  const whyNot = mayChange ? undefined : 'Only an operator can change runs'
  const open = state === 'queued' || state === 'running'
  const button = (verb: Verb, word: string, may: boolean) => (
    <Button
      size="xs"
      variant="default"
      disabled={!may || whyNot !== undefined}
      title={whyNot}
      loading={act.isPending && act.variables === verb}
      onClick={() => act.mutate(verb)}
    >
      {word}
    </Button>
  )
  return (
    <>
      {state === 'paused' || state === 'failed' || state === 'cancelled'
        ? button('runResume', 'Resume', true)
        : button('runPause', 'Pause', open && asked === '')}
      {button('runCancel', 'Cancel', (open && asked !== 'cancel') || state === 'paused')}
    </>
  )
}
