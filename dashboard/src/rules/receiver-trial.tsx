/** Sends a receiver a trial now, and says what came of it, until the next one. */
import { type UseMutationResult, useMutation } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { Status } from '../shell/status.tsx'

type Answer = { readonly ok: boolean; readonly outcome: string }
export type Trial = UseMutationResult<Answer, Error, string>

/** Called with the name of the receiver. */
export const useReceiverTrial = (): Trial =>
  useMutation({ mutationFn: (name: string) => call('receiverTest', { params: { name } }) })

/** What came of the trial of `name`; nothing before there was one. */
export function ReceiverTrial({ trial, name }: { trial: Trial; name: string }) {
  const isOfIt = trial.variables === name
  return (
    <div role="status">
      {isOfIt && trial.isPending && <span className="dim">A trial is sent…</span>}
      {isOfIt && trial.data && (
        <Status
          kind={trial.data.ok ? 'ok' : 'bad'}
          word={`Trial ${trial.data.ok ? 'taken' : 'failed'}: ${trial.data.outcome}`}
        />
      )}
      {isOfIt && trial.error && <Status kind="bad" word={trial.error.message} />}
    </div>
  )
}
