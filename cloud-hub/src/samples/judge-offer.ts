/**
 * What speaks against a sample before any byte of it is taken. Pure: the caller brings what the stream is asked to
 * hide, the times that were forgotten, and the clock.
 */
import type { SampleOffer, StreamConfig } from '@edgeloop/protocol'
import { samplePixelsMax } from './picture-check.ts'

const dayMs = 86_400_000
/** By so much a box's clock may be ahead of ours; what lies further in the future was not captured then. */
export const aheadMaxMs = dayMs

export type Against =
  | { readonly kind: 'refuse'; readonly reason: string }
  /** It shows what the stream's configuration says must not be seen: somebody has to know. */
  | { readonly kind: 'uncovered'; readonly reason: string }

export type Circumstances = {
  readonly now: number
  /** What the hub wants of the stream; undefined where the box is configured by its own file, or has no such stream. */
  readonly stream: StreamConfig | undefined
  readonly signatureValid: boolean
  /** True where its time was forgotten. */
  readonly forgotten: boolean
}

/** @returns why the sample is never wanted; undefined where nothing speaks against it */
export function againstOffer(
  offer: SampleOffer,
  { now, stream, signatureValid, forgotten }: Circumstances,
): Against | undefined {
  const refuse = (reason: string): Against => ({ kind: 'refuse', reason })
  if (forgotten) return refuse('what this stream showed at that time was forgotten')
  const { width, height, capturedAt } = offer
  if (width * height > samplePixelsMax) {
    return refuse(`${width}×${height} is more than ${samplePixelsMax} pixels`)
  }
  const at = Date.parse(capturedAt)
  if (!(at <= now + aheadMaxMs)) {
    return refuse(`it was captured at ${capturedAt}, which lies ahead: set the clock of the box`)
  }
  const reason = stream && uncovered(offer, stream, signatureValid)
  return reason === undefined ? undefined : { kind: 'uncovered', reason }
}

/** What of the stream's configuration the record of a sample does not say; undefined where it says everything. */
function uncovered(
  { redaction }: SampleOffer,
  { masks = [], redact }: StreamConfig,
  signatureValid: boolean,
): string | undefined {
  const wanted = masks.length > 0 || redact !== undefined
  if (wanted && !signatureValid) return 'what was hidden in it is not signed by the device'
  if (redaction.masks < masks.length) {
    return `${redaction.masks} masks were applied, and the stream has ${masks.length}`
  }
  if (redact === undefined) return undefined
  if (redaction.method === 'none') return 'nothing was redacted in it'
  const missing = redact.labels.filter((label) => !redaction.labels.includes(label))
  if (missing.length === 0) return undefined
  return `nobody looked for ${missing.map((label) => `"${label}"`).join(', ')} in it`
}
