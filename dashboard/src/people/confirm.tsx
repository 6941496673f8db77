/** Asks before something is ended or removed, and says what that hits; a refusal stays in the dialog. */
import { Button, Group, Modal } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import classes from './people.module.css'
import { peopleKey } from './people-queries.ts'

/** What is about to be done. */
export type Act = {
  readonly title: string
  readonly text: ReactNode
  /** On the button, with what it hits: `Remove 1 user`. */
  readonly word: string
  readonly run: () => Promise<unknown>
  readonly done?: () => void
}

export function Confirm(props: { act: Act | undefined; onClose: () => void }) {
  return (
    <Modal
      opened={props.act !== undefined}
      onClose={props.onClose}
      title={props.act?.title}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {props.act && <Asking act={props.act} onClose={props.onClose} />}
    </Modal>
  )
}

function Asking({ act, onClose }: { act: Act; onClose: () => void }) {
  const queryClient = useQueryClient()
  const mutation = useMutation({
    mutationFn: act.run,
    onSuccess: () => {
      onClose()
      act.done?.()
    },
    // Also after a refusal: what is shown may be what has changed.
    onSettled: () => queryClient.invalidateQueries({ queryKey: peopleKey }),
  })
  return (
    <div className={classes.form}>
      <div>{act.text}</div>
      {mutation.error && (
        <p className={classes.failed} role="alert">
          {mutation.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={onClose} data-autofocus>
          Cancel
        </Button>
        <Button color="bad" loading={mutation.isPending} onClick={() => mutation.mutate()}>
          {act.word}
        </Button>
      </Group>
    </div>
  )
}
