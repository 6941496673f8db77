/** Sets up whom rules can tell. The secret that signs for a new webhook is shown once, and a trial can be sent at once. */
import type { ReceiverRow, ReceiverSaved } from '@edgeloop/protocol'
import {
  Button,
  Checkbox,
  Group,
  Modal,
  NativeSelect,
  NumberInput,
  PasswordInput,
  Textarea,
  TextInput,
} from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { Secret } from '../people/secret.tsx'
import { sayMoment } from '../shell/say.ts'
import {
  draftOfReceiver,
  isPlainHttp,
  isWhole,
  losesPassword,
  newReceiver,
  type ReceiverDraft,
  receiverRequestOf,
} from './receiver-draft.ts'
import { ReceiverTrial, useReceiverTrial } from './receiver-trial.tsx'
import classes from './rules.module.css'

/** Hours for which an earlier secret signs beside the next: time to set the next one where it is checked. */
const overlapHours = 24

/** @param edited the receiver that is there; without it a new one is made */
export function ReceiverForm(props: {
  edited: ReceiverRow | undefined
  onClose: () => void
  onSaved: () => void
}) {
  const { edited, onClose, onSaved } = props
  const [saved, setSaved] = useState<ReceiverSaved>()
  const shown = (reply: ReceiverSaved) => {
    onSaved()
    // Of a change without a new secret there is nothing more to say.
    if (edited && reply.secret === null) onClose()
    else setSaved(reply)
  }
  const title = edited ? `Receiver ${edited.name}` : 'New receiver'
  return (
    <Modal
      opened
      onClose={onClose}
      title={saved ? `Receiver ${saved.receiver.name}` : title}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {saved ? (
        <Saved saved={saved} onClose={onClose} />
      ) : (
        <Fields edited={edited} onClose={onClose} onSaved={shown} />
      )}
    </Modal>
  )
}

function Saved({ saved, onClose }: { saved: ReceiverSaved; onClose: () => void }) {
  const { receiver, secret } = saved
  const trial = useReceiverTrial()
  const until = receiver.earlierSecretUntil
  return (
    <div className={classes.form}>
      {secret !== null && (
        <>
          <p>
            Every message to it is signed with this secret, which is shown only now. Keep it where
            messages are received, to check them.
            {until !== null &&
              ` The earlier one signs beside it until ${sayMoment(Date.parse(until))}.`}
          </p>
          <Secret value={secret} what="secret" />
        </>
      )}
      <ReceiverTrial trial={trial} name={receiver.name} />
      <Group justify="flex-end" gap={8}>
        <Button
          variant="default"
          loading={trial.isPending}
          onClick={() => trial.mutate(receiver.name)}
        >
          Send a trial
        </Button>
        <Button onClick={onClose}>Done</Button>
      </Group>
    </div>
  )
}

function Fields(props: {
  edited: ReceiverRow | undefined
  onClose: () => void
  onSaved: (saved: ReceiverSaved) => void
}) {
  const { edited, onSaved } = props
  const [draft, setDraft] = useState<ReceiverDraft>(() =>
    edited ? draftOfReceiver(edited) : newReceiver,
  )
  const change = (part: Partial<ReceiverDraft>) => setDraft((before) => ({ ...before, ...part }))
  const put = useMutation({
    mutationFn: () =>
      call('receiverPut', { params: { name: draft.name }, body: receiverRequestOf(draft) }),
    onSuccess: onSaved,
  })
  const rotate = useMutation({
    mutationFn: () =>
      call('receiverSecretRotate', { params: { name: draft.name }, body: { overlapHours } }),
    onSuccess: onSaved,
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    put.mutate()
  }
  const failed = put.error ?? rotate.error
  return (
    <form className={classes.form} onSubmit={submit}>
      <div className={classes.pair}>
        <TextInput
          label="Name"
          description="Under which rules tell it"
          value={draft.name}
          onChange={({ currentTarget }) =>
            change({ name: currentTarget.value.trim().toLowerCase() })
          }
          disabled={edited !== undefined}
          maxLength={63}
          autoComplete="off"
          data-autofocus={edited === undefined}
        />
        <NativeSelect
          label="What it is"
          description="How it is told"
          value={draft.kind}
          data={[
            { value: 'webhook', label: 'Webhook (CloudEvents, signed)' },
            { value: 'mqtt', label: 'MQTT topic' },
            { value: 'mail', label: 'Mail' },
          ]}
          onChange={({ currentTarget }) =>
            change({ kind: currentTarget.value as ReceiverDraft['kind'] })
          }
          disabled={edited !== undefined}
        />
      </div>
      {draft.kind === 'webhook' && <WebhookFields draft={draft} change={change} />}
      {draft.kind === 'mqtt' && <MqttFields draft={draft} change={change} />}
      {draft.kind === 'mail' && <MailFields draft={draft} change={change} />}
      {draft.kind !== 'webhook' && (
        <div className={classes.pair}>
          <TextInput
            label="User name"
            value={draft.username}
            onChange={({ currentTarget }) => change({ username: currentTarget.value })}
            maxLength={200}
            autoComplete="off"
            spellCheck={false}
          />
          <PasswordInput
            label="Password"
            description={
              losesPassword(draft, edited)
                ? 'The one that is kept was given for the place before, and goes'
                : edited?.hasPassword
                  ? 'Left empty, the one that is kept stays'
                  : undefined
            }
            value={draft.password}
            onChange={({ currentTarget }) => change({ password: currentTarget.value })}
            maxLength={1000}
            autoComplete="new-password"
          />
        </div>
      )}
      <details open={draft.allow !== '' || draft.ca !== ''}>
        <summary>Private addresses, own certificates</summary>
        <div className={classes.form}>
          <TextInput
            label="Private addresses it may be at"
            description="Addresses, ranges (10.1.0.0/16) or host names, with commas between; public ones need none of this"
            value={draft.allow}
            onChange={({ currentTarget }) => change({ allow: currentTarget.value })}
            spellCheck={false}
          />
          <Textarea
            label="Certificates to trust beside the usual ones"
            description="PEM"
            value={draft.ca}
            onChange={({ currentTarget }) => change({ ca: currentTarget.value })}
            rows={3}
            spellCheck={false}
          />
        </div>
      </details>
      {failed && (
        <p className={classes.failed} role="alert">
          {failed.message}
        </p>
      )}
      <Group justify="space-between" gap={8}>
        {edited?.receiver.kind === 'webhook' ? (
          <Button
            variant="default"
            title={`The earlier one signs beside it for ${overlapHours} hours`}
            loading={rotate.isPending}
            onClick={() => rotate.mutate()}
          >
            Make the next secret
          </Button>
        ) : (
          <span />
        )}
        <Group gap={8}>
          <Button variant="default" onClick={props.onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={put.isPending} disabled={!isWhole(draft)}>
            {edited ? 'Save the receiver' : 'Add the receiver'}
          </Button>
        </Group>
      </Group>
    </form>
  )
}

type FieldsProps = { draft: ReceiverDraft; change: (part: Partial<ReceiverDraft>) => void }

function WebhookFields({ draft, change }: FieldsProps) {
  return (
    <>
      <TextInput
        label="URL"
        description={
          isPlainHttp(draft)
            ? 'Without TLS: everybody between can read what is sent'
            : 'https://…, where a POST is taken'
        }
        value={draft.url}
        onChange={({ currentTarget }) => change({ url: currentTarget.value })}
        maxLength={2000}
        autoComplete="off"
        spellCheck={false}
      />
      <Checkbox
        label="One CloudEvent for each event, as a batch"
        checked={draft.batch}
        onChange={({ currentTarget }) => change({ batch: currentTarget.checked })}
      />
    </>
  )
}

function MqttFields({ draft, change }: FieldsProps) {
  return (
    <>
      <div className={classes.pair}>
        <TextInput
          label="Broker"
          description="mqtts://HOST:PORT; mqtt:// sends everything readable"
          value={draft.url}
          onChange={({ currentTarget }) => change({ url: currentTarget.value })}
          maxLength={2000}
          autoComplete="off"
          spellCheck={false}
        />
        <TextInput
          label="Topic"
          description="{rule}, {site}, {device}, {stream}, {label} are filled in"
          placeholder="alerts/{device}"
          value={draft.topic}
          onChange={({ currentTarget }) => change({ topic: currentTarget.value })}
          maxLength={500}
          autoComplete="off"
          spellCheck={false}
        />
      </div>
      <Checkbox
        label="The broker keeps the newest message for whoever comes later"
        checked={draft.retain}
        onChange={({ currentTarget }) => change({ retain: currentTarget.checked })}
      />
    </>
  )
}

const usualPorts = { tls: 465, starttls: 587, none: 25 } as const

function MailFields({ draft, change }: FieldsProps) {
  return (
    <>
      <div className={classes.pair}>
        <TextInput
          label="To"
          description="Addresses with commas between"
          value={draft.to}
          onChange={({ currentTarget }) => change({ to: currentTarget.value })}
          spellCheck={false}
        />
        <TextInput
          label="From"
          description="What people see as the sender"
          value={draft.from}
          onChange={({ currentTarget }) => change({ from: currentTarget.value })}
          maxLength={320}
          spellCheck={false}
        />
      </div>
      <div className={classes.pair}>
        <TextInput
          label="Mail server"
          value={draft.host}
          onChange={({ currentTarget }) => change({ host: currentTarget.value })}
          maxLength={253}
          autoComplete="off"
          spellCheck={false}
        />
        <NativeSelect
          label="Security"
          value={draft.security}
          data={[
            { value: 'tls', label: 'TLS from the first byte' },
            { value: 'starttls', label: 'STARTTLS' },
            { value: 'none', label: 'None: readable by everybody between' },
          ]}
          onChange={({ currentTarget }) => {
            const security = currentTarget.value as ReceiverDraft['security']
            const isUsual = draft.port === usualPorts[draft.security]
            change({ security, ...(isUsual ? { port: usualPorts[security] } : {}) })
          }}
        />
        <NumberInput
          label="Port"
          value={draft.port}
          onChange={(value) => change({ port: typeof value === 'number' ? value : '' })}
          min={1}
          max={65_535}
          allowDecimal={false}
        />
      </div>
    </>
  )
}
