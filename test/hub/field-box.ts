/** A box that sends samples, for tests: pictures, what is said of them, signed with its key, in parts. */
import { createHash, sign } from 'node:crypto'
import {
  type Redaction,
  redactionStatement,
  type SampleAnswers,
  type SampleOffer,
  type SampleReceived,
  samplePartBytes,
} from '@edgeloop/protocol'
import sharp from 'sharp'
import { type Answer, send, type TestDevice } from './fixture.ts'

export type TakenPicture = {
  readonly bytes: Buffer
  readonly digest: string
  readonly width: number
  readonly height: number
}

/** A picture of noise, so that it has some size; another one for each seed. */
export async function takePicture(seed: number, width = 640, height = 480): Promise<TakenPicture> {
  const pixels = Buffer.alloc(width * height * 3)
  let state = seed * 2_654_435_761 + 1
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    pixels[i] = state >>> 24
  }
  const raw = { width, height, channels: 3 } as const
  const bytes = await sharp(pixels, { raw }).jpeg({ quality: 90 }).toBuffer()
  return { bytes, digest: digestOf(bytes), width, height }
}

export const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** What a device says of a picture, signed by it. */
export function offerOf(
  device: Pick<TestDevice, 'deviceId' | 'key'>,
  { bytes, digest, width, height }: TakenPicture,
  more: Partial<Omit<SampleOffer, 'redaction'>> & {
    redaction?: Partial<Omit<Redaction, 'signature'>>
  } = {},
): SampleOffer {
  const { redaction: given, ...rest } = more
  const facts: Omit<SampleOffer, 'redaction'> = {
    digest,
    sizeBytes: bytes.length,
    width,
    height,
    streamId: 'cam',
    capturedAt: new Date(Date.now() - 60_000).toISOString(),
    reason: 'uncertain',
    why: 'score 0.41 of "cup", threshold 0.40',
    probability: 0.5,
    model: { name: 'parts', version: 3, digest: digestOf(Buffer.from('model')) },
    detections: [{ label: 'cup', score: 0.41, box: [0.1, 0.2, 0.3, 0.4] }],
    // Unlike that of any other picture.
    looks: digest.slice(0, 16),
    ...rest,
  }
  const redaction = { masks: 0, method: 'none' as const, labels: [], regions: [], ...given }
  const { streamId, capturedAt } = facts
  const { deviceId } = device
  const statement = redactionStatement(
    { deviceId, streamId, capturedAt, digest: facts.digest },
    redaction,
  )
  const signature = sign('sha256', Buffer.from(statement), device.key).toString('base64')
  return { ...facts, redaction: { ...redaction, signature } }
}

const tlsOf = ({ key, enrolment }: TestDevice) => ({
  key,
  cert: enrolment.certificate,
  ca: enrolment.ca,
})

export async function offerRaw(
  device: TestDevice,
  offers: readonly SampleOffer[],
  wishes: readonly { streamId: string; frames: number }[] = [],
): Promise<Answer> {
  const url = `${device.enrolment.deviceUrl}/samples`
  return await send(url, 'POST', tlsOf(device), { offers, wishes })
}

export async function offer(
  device: TestDevice,
  offers: readonly SampleOffer[],
  wishes: readonly { streamId: string; frames: number }[] = [],
): Promise<SampleAnswers> {
  const answer = await offerRaw(device, offers, wishes)
  if (answer.status !== 200) throw new Error(`Cannot offer: ${answer.text}`)
  return JSON.parse(answer.text) as SampleAnswers
}

export const putPart = (
  device: TestDevice,
  digest: string,
  from: number,
  bytes: Uint8Array,
): Promise<Answer> =>
  device.put(`/samples/${digest}?from=${from}`, 'application/octet-stream', bytes)

/** Sends a picture from where the hub wants it; the last answer. */
export async function putAll(device: TestDevice, picture: TakenPicture, from = 0): Promise<Answer> {
  for (let at = from; ; ) {
    const part = picture.bytes.subarray(at, at + samplePartBytes)
    const answer = await putPart(device, picture.digest, at, part)
    if (answer.status !== 200) return answer
    const { next, complete } = JSON.parse(answer.text) as SampleReceived
    if (complete || next === at) return answer
    at = next
  }
}
