/** Makes another of what a page lists. Whoever may not is told why. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'

/** @param refused why it cannot be made, where it cannot */
export function NewButton(props: {
  word: string
  refused?: string | undefined
  /** Beside another one that matters more. */
  quiet?: boolean
  onClick: () => void
}) {
  return (
    <Button
      size="xs"
      leftSection={<IconPlus size={14} aria-hidden />}
      disabled={props.refused !== undefined}
      title={props.refused}
      onClick={props.onClick}
      {...(props.quiet ? { variant: 'default' } : {})}
    >
      {props.word}
    </Button>
  )
}
