/**
 * Sends a message as a mail: what happened in a few lines, and the pictures of the first events in it. What was gathered
 * comes as one mail. Made by nodemailer; what an event says is text for it and never markup.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import type { MailReceiver } from '@edgeloop/protocol'
import { createTransport } from 'nodemailer'
import { AddressRefused, addressFor, type Resolve, systemResolve } from './address-guard.ts'
import { type Message, sayEvent, type ToldEvent, Undelivered } from './message.ts'
import { before } from './webhook.ts'

/** Of one mail, from resolving the name to the server's word. */
const deadlineMs = 30_000
/** Pictures in a mail, and how large they may be together. */
const picturesMax = 5
const pictureBytesMax = 4 * 1024 * 1024
/** Pictures come after their events: so long they are waited for. */
const pictureWaitMs = 5000
const linesMax = 30

/** A picture by its digest; undefined where it is not here (yet). */
export type ReadPicture = (digest: string) => Promise<Uint8Array | undefined>

export type Mail = {
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly pictures: readonly { readonly cid: string; readonly bytes: Uint8Array }[]
}

/** @throws {Undelivered} */
export async function sendMail(
  message: Message,
  to: { readonly receiver: MailReceiver; readonly password: string },
  deps: {
    signal: AbortSignal
    resolve?: Resolve
    readPicture: ReadPicture
    pictureWaitMs?: number
  },
): Promise<string> {
  const { receiver, password } = to
  const { signal, readPicture } = deps
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])
  const mail = composeMail(
    message,
    await readPictures(message, readPicture, deadline, deps.pictureWaitMs ?? pictureWaitMs),
  )
  let close = (): void => {}
  try {
    const found = addressFor(receiver.host, receiver.allow, deps.resolve ?? systemResolve)
    const { address } = await before(deadline, found)
    const transport = createTransport({
      // Where it was checked, under the name that the certificate has to have.
      host: address,
      port: receiver.port,
      secure: receiver.security === 'tls',
      requireTLS: receiver.security === 'starttls',
      ignoreTLS: receiver.security === 'none',
      tls: {
        servername: receiver.host,
        ...(receiver.ca === undefined ? {} : { ca: [...rootCertificates, receiver.ca] }),
      },
      ...(receiver.username === undefined
        ? {}
        : { auth: { user: receiver.username, pass: password } }),
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      socketTimeout: 15_000,
      // Files and addresses in what an event says are left alone.
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    close = () => transport.close()
    const sent = await before(
      deadline,
      transport.sendMail({
        from: receiver.from,
        to: [...receiver.to],
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        messageId: `<${message.messageId}@edgeloop.invalid>`,
        // Of programs, so that no answering machine answers (RFC 3834 §5).
        headers: { 'auto-submitted': 'auto-generated' },
        attachments: mail.pictures.map(({ cid, bytes }) => ({
          filename: `${cid}.jpg`,
          cid,
          content: Buffer.from(bytes),
          contentType: 'image/jpeg',
          contentDisposition: 'inline' as const,
        })),
      }),
    )
    return `sent: ${String(sent.response).slice(0, 200)}`
  } catch (error) {
    if (error instanceof AddressRefused) throw new Undelivered(error.message, { final: true })
    if (signal.aborted) throw error
    if (deadline.aborted) throw new Undelivered(`No answer within ${deadlineMs / 1000} s`)
    throw new Undelivered(
      `Cannot send over ${receiver.host}:${receiver.port}: ${(error as Error).message}`,
    )
  } finally {
    close()
  }
}

async function readPictures(
  message: Message,
  read: ReadPicture,
  signal: AbortSignal,
  waitMs: number,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const digests = message.events.flatMap(({ event }) => event.snapshot ?? []).slice(0, picturesMax)
  const found = new Map<string, Uint8Array>()
  let bytes = 0
  let waitedMs = 0
  for (const digest of new Set(digests)) {
    let picture = await read(digest)
    for (; !picture && waitedMs < waitMs; waitedMs += 250) {
      await sleep(250, undefined, { signal })
      picture = await read(digest)
    }
    bytes += picture?.length ?? 0
    if (picture && bytes <= pictureBytesMax) found.set(digest, picture)
  }
  return found
}

/** @param pictures by digest */
export function composeMail(message: Message, pictures: ReadonlyMap<string, Uint8Array>): Mail {
  const { rule, events, eventCount, silenced, trial } = message
  const [first] = events
  const more = eventCount > 1 ? ` and ${eventCount - 1} more` : ''
  const subject = trial
    ? 'Edgeloop: a trial'
    : `Edgeloop: ${first ? sayEvent(first) : rule}${more}`.replace(/\s+/g, ' ').slice(0, 200)
  const rows = events.slice(0, linesMax)
  const lines = rows.map(lineOf)
  const left = eventCount - rows.length
  const notes = [
    ...(trial ? ['Somebody wanted to see whether this arrives.'] : []),
    ...(left > 0 ? [`${left} more are not listed here.`] : []),
    ...(silenced > 0
      ? [`${silenced} before them were not told, because the rule was silent then.`]
      : []),
    ...(trial ? [] : [`Sent by the rule "${rule}".`]),
  ]
  const shown = [...pictures].map(([digest, bytes], index) => ({
    cid: `picture-${index + 1}`,
    digest,
    bytes,
  }))
  const imageOf = ({ event }: ToldEvent): string => {
    const picture = shown.find(({ digest }) => digest === event.snapshot)
    if (!picture) return ''
    return `<br><img src="cid:${picture.cid}" alt="${escapeHtml(sayEvent({ site: '', event }))}" style="max-width:100%">`
  }
  const items = rows.map((told, i) => `<li>${escapeHtml(lines[i] ?? '')}${imageOf(told)}</li>`)
  return {
    subject,
    text: [...lines, '', ...notes].join('\n'),
    html: `<ul>${items.join('')}</ul>${notes.map((note) => `<p>${escapeHtml(note)}</p>`).join('')}`,
    pictures: shown,
  }
}

const lineOf = (told: ToldEvent): string =>
  `${told.event.at.replace('T', ' ').slice(0, 19)} UTC  ${sayEvent(told)}, site ${told.site}`

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (one) => escapes[one] ?? one)
