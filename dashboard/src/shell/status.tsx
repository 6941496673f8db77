/** How anything is: icon shape, word and colour together, never colour alone. */
import {
  IconAlertOctagonFilled,
  IconAlertTriangleFilled,
  IconCircle,
  IconCircleCheckFilled,
  IconInfoCircleFilled,
  IconRefresh,
} from '@tabler/icons-react'
import classes from './status.module.css'

export const statusKinds = ['ok', 'warn', 'bad', 'info', 'updating', 'offline'] as const
export type StatusKind = (typeof statusKinds)[number]

const icons = {
  ok: IconCircleCheckFilled,
  warn: IconAlertTriangleFilled,
  bad: IconAlertOctagonFilled,
  info: IconInfoCircleFilled,
  updating: IconRefresh,
  offline: IconCircle,
} as const

/** @param word what to call it; shown as text, or for screen readers only where `quiet` */
export function Status(props: {
  kind: StatusKind
  word: string
  title?: string | undefined
  quiet?: boolean
  size?: number
}) {
  const Icon = icons[props.kind]
  return (
    <span
      className={classes.status}
      data-kind={props.kind}
      title={props.title ?? (props.quiet ? props.word : undefined)}
    >
      <Icon size={props.size ?? 14} aria-hidden stroke={2.5} />
      <span className={props.quiet ? 'hidden-visually' : undefined}>{props.word}</span>
    </span>
  )
}
