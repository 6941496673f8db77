/**
 * What a model is fed while it is calibrated and compared: inputs by name, as often as they are wanted.
 * How an image becomes an input is the caller's affair; nothing here knows about images.
 */
import type { Value } from '../runtime/session.ts'

/** The inputs of one run, by their names in the graph. */
export type Sample = Readonly<Record<string, Value>>

/** Samples that can be read several times over, always the same ones in the same order. */
export type SampleSource = {
  /** How many `read()` gives; what progress is measured by. */
  readonly count: number
  read(): AsyncIterable<Sample>
}

/** Samples that are in memory already. */
export function samplesFrom(samples: readonly Sample[]): SampleSource {
  return {
    count: samples.length,
    async *read() {
      yield* samples
    },
  }
}
