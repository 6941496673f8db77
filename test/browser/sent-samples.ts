/** Samples of the conveyor as boxes would have sent them: pictures, reasons, what was found, what was hidden. */
import type { SampleReason } from '@edgeloop/protocol'
import { digestOf, offer, offerOf, putAll } from '../hub/field-box.ts'
import type { TestDevice } from '../hub/fixture.ts'
import { type Part, partsAt, pictureOf, sceneSize } from './scene.ts'

const reasons: readonly (readonly [SampleReason, (parts: readonly Part[]) => string])[] = [
  ['uncertain', ([part]) => `score 0.41 of "${part?.label ?? 'nut'}", threshold 0.40`],
  ['inconsistent', ([part]) => `track of "${part?.label ?? 'nut'}" was away for 3 of 12 frames`],
  ['novel', () => 'likeness 0.31 to the nearest that was sent'],
  ['random', () => 'one of 100 frames, whatever they show'],
  ['rare', () => '"washer" was seen 4 times in 7 days'],
]

/**
 * Sends frames of a belt one after the other, the oldest first.
 * @param given.from frames begin here: no two streams have the same pictures
 * @param given.wished frames that the stream would have kept
 */
export async function sendSamples(
  device: TestDevice,
  count: number,
  given: { streamId?: string; from?: number; wished?: number; faces?: boolean } = {},
): Promise<void> {
  const { streamId = 'belt', from = 0, wished = count, faces = false } = given
  for (let n = 0; n < count; n++) {
    const parts = partsAt((from + n) * 0.037, 1)
    const bytes = await pictureOf(parts)
    const picture = { bytes, digest: digestOf(bytes), ...sceneSize }
    const [reason, why] = reasons[n % reasons.length] ?? ['random', () => '']
    const said = offerOf(device, picture, {
      streamId,
      reason,
      why: why(parts),
      probability: reason === 'random' ? 0.01 : 0.2,
      capturedAt: new Date(Date.now() - (count - n) * 240_000).toISOString(),
      detections: parts.map(({ label, score, box }) => ({ label, score, box: [...box] })),
      ...(faces && {
        redaction: {
          method: 'pixelate' as const,
          labels: ['face', 'person'],
          modelDigest: digestOf(Buffer.from('faces')),
          regions: [{ label: 'face', box: [0.62, 0.08, 0.09, 0.15] }],
        },
      }),
    })
    const wishes = n === 0 ? [{ streamId, frames: wished }] : []
    const { answers } = await offer(device, [said], wishes)
    if (answers[0]?.act !== 'send') throw new Error(`Cannot send: ${JSON.stringify(answers)}`)
    const put = await putAll(device, picture)
    if (put.status !== 200) throw new Error(`Cannot send: ${put.text}`)
  }
}
