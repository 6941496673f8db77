/** One line that turns a box into a device, and the wait for it: the box appears here by itself. */
import { type DeviceRow, type EnrolmentToken, isName, mayAct } from '@edgeloop/protocol'
import { Button, CopyButton, NativeSelect, TextInput } from '@mantine/core'
import { IconLock } from '@tabler/icons-react'
import { useMutation, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { sessionQuery } from '../people/session.ts'
import { useNow } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty } from '../shell/query-state.tsx'
import { sayDuration, sayMoment } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { waitingFor } from './add-device.ts'
import classes from './add-device-page.module.css'
import { deviceListQuery } from './device-queries.ts'

const validities = [
  { value: '60', label: 'for an hour' },
  { value: '1440', label: 'for a day' },
  { value: '10080', label: 'for a week' },
]

/** A token that was made here, and the device as it was then. */
type Made = {
  readonly token: EnrolmentToken
  readonly madeAt: number
  readonly before: DeviceRow | undefined
}

export function AddDevicePage() {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [made, setMade] = useState<Made>()
  return (
    <Page title="Add a device" parent={<Link to="/devices">Devices</Link>}>
      {!mayAct(session.role, 'admin') ? (
        <Empty
          icon={<IconLock size={32} />}
          title="Your role does not allow this"
          text="Only an admin can add devices. An admin can do it for you, or change your role."
        />
      ) : made ? (
        <Command made={made} onAgain={() => setMade(undefined)} />
      ) : (
        <Ask onMade={setMade} />
      )}
    </Page>
  )
}

function Ask(props: { onMade: (made: Made) => void }) {
  const { data: rows = [] } = useQuery(deviceListQuery)
  const [deviceId, setDeviceId] = useState('')
  const [name, setName] = useState('')
  const [site, setSite] = useState('')
  const [validMinutes, setValidMinutes] = useState('60')
  const known = rows.find((row) => row.deviceId === deviceId)
  const make = useMutation({
    mutationFn: () =>
      call('enrolmentCreate', {
        body: {
          deviceId,
          validMinutes: Number(validMinutes),
          ...(name.trim() ? { name: name.trim() } : {}),
          ...(site.trim() ? { site: site.trim() } : {}),
        },
      }),
    onSuccess: (token) => props.onMade({ token, madeAt: Date.now(), before: known }),
  })
  const nameError = 'Only lower case letters, digits, - and _, at most 63'
  const wrongId = deviceId !== '' && !isName(deviceId)
  const wrongSite = site.trim() !== '' && !isName(site.trim())
  return (
    <form
      className={classes.form}
      onSubmit={(event: FormEvent) => {
        event.preventDefault()
        make.mutate()
      }}
    >
      <p className="dim">
        A device is one box that runs the Edgeloop agent. It needs Linux, curl and a way to this
        hub.
      </p>
      <TextInput
        label="Device id"
        description="Lower case letters, digits, - and _; it stays as long as the device does"
        placeholder="gate-north"
        value={deviceId}
        onChange={(event) => setDeviceId(event.currentTarget.value)}
        error={wrongId ? nameError : undefined}
        autoComplete="off"
        data-autofocus
      />
      {known && (
        <p role="status">
          <Status kind="warn" word="This is a device already." /> The command gives it a new
          certificate; the old one opens nothing then, and its history stays.
        </p>
      )}
      <TextInput
        label="Name"
        description="What people call it; can be left out"
        placeholder="Gate north"
        maxLength={120}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        autoComplete="off"
      />
      {!known && (
        <TextInput
          label="Site"
          description="The place it stands at; can be left out"
          value={site}
          onChange={(event) => setSite(event.currentTarget.value)}
          error={wrongSite ? nameError : undefined}
          autoComplete="off"
        />
      )}
      <NativeSelect
        label="The command works once,"
        value={validMinutes}
        onChange={(event) => setValidMinutes(event.currentTarget.value)}
        data={validities}
      />
      {make.error && (
        <p className={classes.failed} role="alert">
          {make.error.message}
        </p>
      )}
      <Button
        type="submit"
        disabled={deviceId === '' || wrongId || wrongSite}
        loading={make.isPending}
      >
        Make the command
      </Button>
    </form>
  )
}

function Command(props: { made: Made; onAgain: () => void }) {
  const { token, madeAt, before } = props.made
  const { deviceId, installCommand } = token
  const expiresAt = Date.parse(token.expiresAt)
  const now = useNow()
  const { data: rows = [] } = useQuery(deviceListQuery)
  const row = rows.find((each) => each.deviceId === deviceId)
  const waiting = waitingFor({ deviceId, madeAt, expiresAt }, row, before, now)
  // Without an agent to give, the box needs a checkout of its own.
  const command =
    installCommand ??
    `EDGELOOP_ENROLMENT_TOKEN=${token.token} ./edgeloop agent --hub ${token.deviceUrl} --ca-fingerprint ${token.caFingerprint}`
  return (
    <div className={classes.form}>
      <p>
        Run this once on the box that becomes <b>{deviceId}</b>. Its key is made there and never
        leaves it.
      </p>
      {installCommand === null && (
        <p role="status">
          <Status kind="warn" word="This hub has no agent to give." /> The box needs a checkout of
          Edgeloop, where this runs.
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what is too long scrolls, also by keyboard */}
      <pre className={classes.command} tabIndex={0}>
        {command}
      </pre>
      <div className={classes.buttons}>
        <CopyButton value={command}>
          {({ copied, copy }) => (
            <Button onClick={copy}>{copied ? 'Copied' : 'Copy the command'}</Button>
          )}
        </CopyButton>
        <Button variant="default" onClick={props.onAgain}>
          Another device
        </Button>
      </div>
      <p className="dim" title={sayMoment(expiresAt)}>
        {now < expiresAt
          ? `It works once, for another ${sayDuration(expiresAt - now)}. The token in it is shown only now.`
          : 'Its time is over.'}
      </p>
      <section
        className={classes.waiting}
        data-status={waiting.status}
        aria-label="The box"
        role="status"
      >
        <Status kind={waiting.status} word={waiting.word} size={18} />
        <span>{waiting.text}</span>
        {row && (
          <Link to="/devices/$deviceId" params={{ deviceId }}>
            {row.connectivity === 'online' && row.streamsTotal === 0
              ? 'Add its first stream'
              : 'Go to the device'}
          </Link>
        )}
      </section>
    </div>
  )
}
