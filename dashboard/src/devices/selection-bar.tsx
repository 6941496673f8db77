/** What is selected, in exact numbers, and what can be done with it. */
import { mayAct } from '@edgeloop/protocol'
import { Button, CopyButton } from '@mantine/core'
import { useSuspenseQuery } from '@tanstack/react-query'
import { lazy, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { OnDemand } from '../shell/on-demand.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import classes from './fleet-page.module.css'

const BulkDialog = lazy(async () => ({ default: (await import('./bulk-dialog.tsx')).BulkDialog }))

/** Devices in one act: each costs two requests. */
const bulkDevicesMax = 500

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
  const [setting, setSetting] = useState(false)
  const refused = mayAct(session.role, 'operator')
    ? deviceIds.length > bulkDevicesMax
      ? `At most ${bulkDevicesMax} devices at once: narrow the filter`
      : undefined
    : 'Only an operator or admin can change streams'
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
        disabled={refused !== undefined}
        title={refused}
        onClick={() => setSetting(true)}
      >
        Settings of streams…
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
      <OnDemand when={setting}>
        <BulkDialog deviceIds={deviceIds} opened={setting} onClose={() => setSetting(false)} />
      </OnDemand>
    </section>
  )
}
