/**
 * How an active model and a candidate compare on frames of one box, as it was measured (`measure-quality.ts`), and how
 * a box that was not measured is drawn from it: one of the measured ones at random, its frames in blocks of neighbours,
 * so that what follows each other in a scene stays together. Times are not measured here: how fast frames go by depends on
 * the machine, and is drawn by `drawn-course.ts`.
 */
import { readFileSync } from 'node:fs'

/** One model on one frame. */
export type Looked = {
  readonly detections: number
  /** Sum of the detections' scores. */
  readonly scores: number
}
export type FrameFacts = {
  /** Detections that both have. */
  readonly matched: number
  readonly active: Looked
  readonly candidate: Looked
}
export type BoxQuality = {
  /** What the candidate is to the active model. */
  readonly pair: string
  /** Whether it is as good as the active one, by how it was made. */
  readonly equal: boolean
  readonly box: string
  readonly frames: readonly FrameFacts[]
}

const file = new URL('./live-quality.jsonl', import.meta.url)
/** Frames that stay together when a box is drawn. */
const blockFrames = 10

/** What was measured, by pair. */
export function measuredQuality(): ReadonlyMap<string, readonly BoxQuality[]> {
  const boxes = readFileSync(file, 'utf8').trim().split('\n').map(readBox)
  return Map.groupBy(boxes, ({ pair }) => pair)
}

/** Frames of a box like those that were measured, without end. @param random 0..1 */
export function* drawnFrames(
  boxes: readonly BoxQuality[],
  random: () => number,
): Generator<FrameFacts, never, undefined> {
  const { frames } = boxes[Math.floor(random() * boxes.length)]!
  for (;;) {
    const from = Math.floor(random() * (frames.length - blockFrames + 1))
    yield* frames.slice(from, from + blockFrames)
  }
}

/** A line of the file. */
export function writeBox({ frames, ...box }: BoxQuality): string {
  const looked = ({ detections, scores }: Looked) => [detections, Number(scores.toFixed(2))]
  const text = frames
    .map(({ matched, active, candidate }) =>
      [matched, ...looked(active), ...looked(candidate)].join(' '),
    )
    .join(',')
  return JSON.stringify({ ...box, frames: text })
}

function readBox(line: string): BoxQuality {
  const { frames, ...box } = JSON.parse(line) as Omit<BoxQuality, 'frames'> & { frames: string }
  return {
    ...box,
    frames: frames.split(',').map((frame) => {
      const [matched = 0, a = 0, aScores = 0, c = 0, cScores = 0] = frame.split(' ').map(Number)
      return {
        matched,
        active: { detections: a, scores: aScores },
        candidate: { detections: c, scores: cScores },
      }
    }),
  }
}
