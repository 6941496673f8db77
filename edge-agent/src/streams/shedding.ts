/**
 * Says when a stream sheds load: its frames come faster than inference takes them, so that some are
 * replaced by newer ones unseen. Which ones is decided elsewhere, in turn and without favour; here it is
 * only made known, and not with every hiccup.
 */
import type { StreamFigures } from '@edgeloop/protocol'

/** Shedding begins and ends when so large a share of the frames was dropped for `intervals` in a row. */
const beginShare = 0.2
const endShare = 0.05
const intervals = 2
/** Fewer frames than this say nothing. */
const framesMin = 3

export type Load = Pick<StreamFigures, 'analysedFps' | 'dropped' | 'inferenceMs'> & {
  readonly intervalMs: number
}

/** Deterministic: the same figures give the same answers. */
export class LoadJudge {
  #sheds = false
  #against = 0

  get sheds(): boolean {
    return this.#sheds
  }

  /** Takes in the figures of an interval; true where that has changed the answer. */
  take({ analysedFps, dropped, intervalMs }: Load): boolean {
    const analysed = (analysedFps * intervalMs) / 1000
    const wanted = analysed + dropped
    const share = wanted < framesMin ? 0 : dropped / wanted
    const isAgainst = this.#sheds ? share <= endShare : share >= beginShare
    this.#against = isAgainst ? this.#against + 1 : 0
    if (this.#against < intervals) return false
    this.#sheds = !this.#sheds
    this.#against = 0
    return true
  }
}

/** Why frames are dropped, for people. */
export function sheddingReason(
  { analysedFps, dropped, inferenceMs, intervalMs }: Load,
  model: string,
  streams: number,
): string {
  const wantedFps = analysedFps + (dropped * 1000) / intervalMs
  const shared = streams > 1 ? ` and serves ${streams} streams in turn` : ''
  return `Inference keeps up with ${said(analysedFps)} of ${said(wantedFps)} frames per second: model "${model}" takes ${said(inferenceMs)} ms a frame${shared}`
}

const said = (value: number): string =>
  value >= 100 ? Math.round(value).toString() : value.toFixed(1)
