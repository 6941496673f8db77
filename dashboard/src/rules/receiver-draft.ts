/** A receiver as a form holds it: every field of every kind, as it is typed. Pure. */
import type { Receiver, ReceiverRequest, ReceiverRow } from '@edgeloop/protocol'
import { listed, typed } from './typed-list.ts'

export type ReceiverDraft = {
  readonly kind: Receiver['kind']
  readonly name: string
  /** Of a webhook or a broker. */
  readonly url: string
  readonly batch: boolean
  readonly topic: string
  readonly retain: boolean
  readonly to: string
  readonly from: string
  readonly host: string
  readonly port: number | ''
  readonly security: 'tls' | 'starttls' | 'none'
  readonly username: string
  /** Empty: the one that is there stays. */
  readonly password: string
  readonly allow: string
  readonly ca: string
}

export const newReceiver: ReceiverDraft = {
  kind: 'webhook',
  name: '',
  url: '',
  batch: false,
  topic: '',
  retain: false,
  to: '',
  from: '',
  host: '',
  port: 465,
  security: 'tls',
  username: '',
  password: '',
  allow: '',
  ca: '',
}

/** What is in the form when a receiver is edited; its password is nowhere to be had. */
export function draftOfReceiver({ name, receiver }: ReceiverRow): ReceiverDraft {
  const common = {
    ...newReceiver,
    name,
    kind: receiver.kind,
    allow: typed(receiver.allow),
    ca: receiver.ca ?? '',
  }
  if (receiver.kind === 'webhook') {
    return { ...common, url: receiver.url, batch: receiver.batch ?? false }
  }
  const username = receiver.username ?? ''
  if (receiver.kind === 'mqtt') {
    const { url, topic, retain = false } = receiver
    return { ...common, url, topic, retain, username }
  }
  const { to, from, host, port, security } = receiver
  return { ...common, to: typed(to), from, host, port, security, username }
}

/** What the hub is asked to keep. */
export function receiverRequestOf(draft: ReceiverDraft): ReceiverRequest {
  const allow = listed(draft.allow)
  const common = {
    ...(draft.ca.trim() === '' ? {} : { ca: draft.ca.trim() }),
    ...(allow ? { allow } : {}),
  }
  if (draft.kind === 'webhook') {
    const url = draft.url.trim()
    return {
      receiver: {
        kind: 'webhook',
        url,
        ...common,
        ...(draft.batch ? { batch: true } : {}),
        // Whoever types it was told beside the field what that means.
        ...(isPlainHttp(draft) ? { plainHttp: true } : {}),
      },
    }
  }
  const username = draft.username.trim()
  const login = username === '' ? {} : { username }
  const password = draft.password === '' ? {} : { password: draft.password }
  if (draft.kind === 'mqtt') {
    const { topic, retain } = draft
    return {
      receiver: {
        kind: 'mqtt',
        url: draft.url.trim(),
        topic: topic.trim(),
        ...login,
        ...common,
        ...(retain ? { retain } : {}),
      },
      ...password,
    }
  }
  const { from, host, port, security } = draft
  return {
    receiver: {
      kind: 'mail',
      to: listed(draft.to) ?? [],
      from: from.trim(),
      host: host.trim(),
      port: port === '' ? 0 : port,
      security,
      ...login,
      ...common,
    },
    ...password,
  }
}

/** What everybody between the hub and there can read. */
export const isPlainHttp = ({ kind, url }: Pick<ReceiverDraft, 'kind' | 'url'>): boolean =>
  kind === 'webhook' && /^\s*http:/i.test(url)

/** Whether every field that its kind needs has something in it; the hub says what is wrong with it. */
export function isWhole(draft: ReceiverDraft): boolean {
  const needed = {
    webhook: [draft.url],
    mqtt: [draft.url, draft.topic],
    mail: [draft.to, draft.from, draft.host, `${draft.port}`],
  }
  return [draft.name, ...needed[draft.kind]].every((text) => text.trim() !== '')
}

/** Whether a password that is kept goes: it was given for one place, and is sent to no other. */
export function losesPassword(draft: ReceiverDraft, before: ReceiverRow | undefined): boolean {
  if (!before?.hasPassword || draft.password !== '') return false
  const { receiver } = before
  if (receiver.kind === 'mail') return draft.host !== receiver.host || draft.port !== receiver.port
  return draft.url.trim() !== receiver.url
}
