/**
 * Random numbers that are a function of where they are drawn: seed, step, place in the batch. Nothing is carried from
 * one draw to the next batch, which is what lets a run that was killed go on with the very same pictures.
 */

/** Gives the next number, from 0 to below 1. */
export type Draws = () => number

/** @param path whole numbers that tell this place from all others */
export function drawsAt(...path: readonly number[]): Draws {
  let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, path.length]
  const next = (): number => {
    // sfc32 of PractRand: 128 bits of state, passes its tests.
    const sum = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  for (const part of path) {
    // Seeds may be larger than 32 bits.
    a ^= part | 0
    b ^= Math.floor(part / 2 ** 32) | 0
    for (let round = 0; round < 12; round++) next()
  }
  return () => next() / 2 ** 32
}

export const uniform = (draws: Draws, min: number, max: number): number =>
  min + (max - min) * draws()

/** Evenly on a logarithmic scale: half as large is as likely as twice. */
export const logUniform = (draws: Draws, min: number, max: number): number =>
  min === max ? min : Math.exp(uniform(draws, Math.log(min), Math.log(max)))

export const below = (draws: Draws, count: number): number => Math.floor(draws() * count)

/** The numbers from 0 to below `count` in an order that the seed and the epoch give (Fisher and Yates). */
export function shuffledPlaces(count: number, seed: number, epoch: number): Uint32Array {
  const draws = drawsAt(seed, epoch, 0x0e90c4)
  const places = Uint32Array.from({ length: count }, (_, at) => at)
  for (let at = count - 1; at > 0; at--) {
    const other = below(draws, at + 1)
    const held = places[at]!
    places[at] = places[other]!
    places[other] = held
  }
  return places
}
