/** What is selected, in exact numbers, and what can be done with it. */
import { actDevicesMax, mayAct, type Role } from '@edgeloop/protocol'
import { Button, CopyButton } from '@mantine/core'
import { useSuspenseQuery } from '@tanstack/react-query'
import { lazy, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { OnDemand } from '../shell/on-demand.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import classes from './fleet-page.module.css'

const SettingsDialog = lazy(async () => ({
  default: (await import('./settings-dialog.tsx')).SettingsDialog,
}))
const RetireDialog = lazy(async () => ({
  default: (await import('./retire-dialog.tsx')).RetireDialog,
}))

export function SelectionBar(props: {
  deviceIds: readonly string[]
  /** Of them, how many the filter hides. */
  hidden: number
  /** Devices that the filter shows, and all there are. */
  shown: number
  all: number
  onClear: () => void
}) {
  const { deviceIds, hidden } = props
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [opened, setOpened] = useState<'settings' | 'retire'>()
  const close = () => setOpened(undefined)
  const refusal = (role: Role, text: string) => {
    if (!mayAct(session.role, role)) return text
    if (deviceIds.length <= actDevicesMax) return undefined
    return `At most ${sayCount(actDevicesMax)} devices at once: narrow the filter`
  }
  const notSet = refusal('operator', 'Only an operator or admin can change streams')
  const notRetired = refusal('admin', 'Only an admin can retire devices')
  return (
    <section className={classes.selection} aria-label="Selection">
      <p role="status">
        <b>{sayOf(deviceIds.length, 'device')} selected</b>
        {hidden > 0 && `, ${sayCount(hidden)} of them not shown by this filter`}
        <span className="dim">
          {' '}
          ({sayCount(props.shown)} of {sayCount(props.all)} match)
        </span>
      </p>
      <Button
        size="compact-xs"
        variant="default"
        disabled={notSet !== undefined}
        title={notSet}
        onClick={() => setOpened('settings')}
      >
        Settings of streams…
      </Button>
      <Button
        size="compact-xs"
        variant="default"
        disabled={notRetired !== undefined}
        title={notRetired}
        onClick={() => setOpened('retire')}
      >
        Retire…
      </Button>
      <CopyButton value={deviceIds.join('\n')}>
        {({ copied, copy }) => (
          <Button size="compact-xs" variant="default" onClick={copy}>
            {copied ? 'Copied' : `Copy ${sayOf(deviceIds.length, 'id')}`}
          </Button>
        )}
      </CopyButton>
      <Button size="compact-xs" variant="subtle" onClick={props.onClear}>
        Clear
      </Button>
      <OnDemand when={opened === 'settings'}>
        <SettingsDialog deviceIds={deviceIds} opened={opened === 'settings'} onClose={close} />
      </OnDemand>
      <OnDemand when={opened === 'retire'}>
        <RetireDialog deviceIds={deviceIds} opened={opened === 'retire'} onClose={close} />
      </OnDemand>
    </section>
  )
}
