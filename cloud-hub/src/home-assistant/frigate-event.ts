/**
 * What happens to an object in the words that Frigate uses on its topic `events`
 * (docs.frigate.video/integrations/mqtt): `new`, `update`, `end`, each with the object before and after. Times are
 * seconds, boxes are pixels: left, top, right, bottom.
 */
import type { ObjectChange, SeenObject } from './scene.ts'

/** Of a stream that has not said how large its pictures are. */
const unknownSize = { width: 1280, height: 720 }

export function frigateEvent(
  { type, before, after }: ObjectChange,
  camera: string,
  size: { width?: number | undefined; height?: number | undefined },
) {
  const { width = unknownSize.width, height = unknownSize.height } = size
  const given = { camera, width, height }
  return { type, before: objectOf(before, given), after: objectOf(after, given) }
}

function objectOf(
  object: SeenObject,
  { camera, width, height }: { camera: string; width: number; height: number },
) {
  const [left = 0, top = 0, w = 0, h = 0] = object.box
  const box = [left * width, top * height, (left + w) * width, (top + h) * height].map(Math.round)
  const area = Math.round(w * width * (h * height))
  const frame = object.heardAt / 1000
  return {
    id: object.id,
    camera,
    frame_time: frame,
    snapshot:
      object.snapshot === null ? null : { frame_time: frame, box, area, score: object.score },
    label: object.label,
    sub_label: null,
    top_score: object.topScore,
    false_positive: false,
    start_time: object.startedAt / 1000,
    end_time: object.endedAt === null ? null : object.endedAt / 1000,
    score: object.score,
    box,
    area,
    ratio: h === 0 ? 0 : Number(((w * width) / (h * height)).toFixed(4)),
    current_zones: object.zones,
    entered_zones: object.enteredZones,
    has_clip: false,
    has_snapshot: object.snapshot !== null,
    stationary: false,
    active: object.endedAt === null,
  }
}
