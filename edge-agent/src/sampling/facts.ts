/** What samplers see of a frame, and what they say of it. */
import type { Detection, SampleReason } from '@edgeloop/protocol'
import type { MovingCells } from '../streams/motion-gate.ts'
import type { Track } from '../streams/tracker.ts'

/** One analysed frame. */
export type FrameFacts = {
  /** Steady capture time, ms. */
  readonly at: number
  /** All that the model said, doubtful ones too. */
  readonly detections: readonly Detection[]
  /** For each detection the believed track that it belongs to. */
  readonly trackIds: readonly (number | undefined)[]
  /** Believed tracks after this frame, also those that were not seen on it. */
  readonly tracks: readonly Track[]
  /** Score from which a detection of this label counts. */
  readonly scoreMinOf: (label: string) => number
  /** Cells of the picture in which something moves; undefined where that is not known. */
  readonly moving: MovingCells | undefined
}

/** Why a frame is worth keeping, as one sampler sees it. */
export type Finding = {
  readonly reason: SampleReason
  /** What it is worth, 0..1: higher goes first. */
  readonly use: number
  /** In words, with the figures that decided. */
  readonly why: string
  /** Tracks that it is about: one that was kept for learning already is worth less. */
  readonly tracks: readonly number[]
  /** Of what it is about, the share that was not kept before, 0..1; all of it where nothing is said. */
  readonly fresh?: number
  /** Where it is, when nothing was found there. */
  readonly place?: readonly [left: number, top: number, width: number, height: number]
}

/** Several reasons for one frame: none alone, all together less than their sum. */
export const usesTogether = (uses: readonly number[]): number =>
  1 - uses.reduce((left, use) => left * (1 - use), 1)

export const isInside = ({ box }: { readonly box: readonly number[] }): boolean => {
  const [left = 0, top = 0, width = 0, height = 0] = box
  const rim = 0.01
  return left > rim && top > rim && left + width < 1 - rim && top + height < 1 - rim
}

export const percent = (share: number): string => `${Math.round(share * 100)} %`
