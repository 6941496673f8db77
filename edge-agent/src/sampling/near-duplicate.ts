/**
 * Whether a frame shows nothing that was not sent just before. A fixed camera's pictures all look alike, so looks
 * alone cannot say it: the same things have to be in the same places too.
 */
import type { Box } from '@edgeloop/protocol'
import { type Static, Type } from 'typebox'
import { iou } from '../streams/tracker.ts'
import { cosineDistance, hashDistance, type Looks } from './looks.ts'

const closed = { additionalProperties: false } as const

/** What is remembered of a frame that was sent. */
export const Sent = Type.Object(
  {
    hash: Type.String({ pattern: '^[0-9a-f]{16}$', maxLength: 16 }),
    embedding: Type.Array(Type.Number(), { maxItems: 256 }),
    things: Type.Array(
      Type.Object(
        { label: Type.String(), box: Type.Array(Type.Number(), { maxItems: 4 }) },
        closed,
      ),
      { maxItems: 200 },
    ),
  },
  closed,
)
export type Sent = Static<typeof Sent>

/** Frames that are remembered. */
export const sentMax = 64
/** Bits of the hash, and distance of the embedding, up to which two frames look alike. */
const hashNear = 10
const embeddingNear = 0.04
/** Boxes of one thing in two frames overlap at least this much. */
const sameIou = 0.6

export const isNearDuplicate = (
  looks: Looks,
  things: Sent['things'],
  before: readonly Sent[],
): boolean =>
  before.some(
    (one) =>
      hashDistance(one.hash, looks.hash) <= hashNear &&
      cosineDistance(one.embedding, looks.embedding) <= embeddingNear &&
      areSame(one.things, things),
  )

/** Each thing of one frame is in the other. */
function areSame(a: Sent['things'], b: Sent['things']): boolean {
  if (a.length !== b.length) return false
  const open = [...b]
  return a.every(({ label, box }) => {
    const at = open.findIndex(
      (other) =>
        other.label === label && iou(box as unknown as Box, other.box as unknown as Box) >= sameIou,
    )
    if (at >= 0) open.splice(at, 1)
    return at >= 0
  })
}
