/** Whether the loop has closed: what every round must reach, as one list of what was not. Pure. */

export type RoundFigures = {
  readonly round: number
  readonly drift: string
  readonly version: number
  readonly labels: number
  /** AP50 of each box just before the drift, just after it, and with the round's version. */
  readonly before: Readonly<Record<string, number>>
  readonly drifted: Readonly<Record<string, number>>
  readonly after: Readonly<Record<string, number>>
  /** AP50 of each box before anything drifted. */
  readonly reference: Readonly<Record<string, number>>
  /** Samples, over all boxes. */
  readonly bytesUp: number
  /** What went to boxes, and what whole files would have been. */
  readonly bytesDown: number
  readonly bytesWhole: number
  /** The delta from the version before, and the whole file, compressed. */
  readonly deltaBytes: number
  readonly fullBytes: number
  /** From the drift until every box runs the round's version. */
  readonly minutes: number
}

export type Bounds = {
  /** By how much a drift must harm, on the mean of the boxes, for coming back to mean anything. */
  readonly fallMin: number
  /** How far from the undrifted figure the mean of the boxes may end. */
  readonly gapMax: number
  /** Of a delta in the whole file, as zstd. */
  readonly deltaShareMax: number
}

/** What the loop promises. */
export const promised: Bounds = { fallMin: 0.15, gapMax: 0.03, deltaShareMax: 1 / 5 }
/** What one box may lose against the model that it ran in the drift; measuring again gives the same. */
const lossMax = 0

const mean = (values: Readonly<Record<string, number>>): number => {
  const all = Object.values(values)
  return all.reduce((sum, value) => sum + value, 0) / all.length
}

/** @returns a sentence for everything that was not reached; none where the loop has closed */
export function faultsOf(
  rounds: readonly RoundFigures[],
  eventsLost: number,
  { fallMin, gapMax, deltaShareMax } = promised,
): string[] {
  const faults: string[] = []
  for (const one of rounds) {
    const name = `round ${one.round} (${one.drift})`
    const fall = mean(one.before) - mean(one.drifted)
    if (!(fall >= fallMin)) {
      faults.push(`${name}: AP50 fell by ${fall.toFixed(3)}, it must fall by ${fallMin}`)
    }
    const gap = mean(one.reference) - mean(one.after)
    if (!(gap <= gapMax)) {
      faults.push(
        `${name}: AP50 ended ${gap.toFixed(3)} below the undrifted figure, at most ${gapMax} is allowed`,
      )
    }
    for (const [box, after] of Object.entries(one.after)) {
      const loss = (one.drifted[box] ?? 0) - after
      if (!(loss <= lossMax)) faults.push(`${name}: box ${box} got worse by ${loss.toFixed(3)}`)
    }
    const share = one.deltaBytes / one.fullBytes
    if (!(share <= deltaShareMax)) {
      faults.push(
        `${name}: the delta is ${one.deltaBytes} of ${one.fullBytes} bytes, at most ${(deltaShareMax * 100).toFixed(0)} % is allowed`,
      )
    }
  }
  if (eventsLost > 0) faults.push(`${eventsLost} events were lost`)
  return faults
}
