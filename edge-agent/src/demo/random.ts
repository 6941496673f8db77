/** Chance with a seed: the same scene, noise and model on every machine and every day. */

/** A stream of numbers in [0, 1) that depends on nothing but `seed` (mulberry32). */
export type Random = () => number

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** An unsigned 32-bit number from two others, for a seed of one's own per frame, part or place. */
export function mixSeed(a: number, b: number): number {
  let mixed = Math.imul((a >>> 0) ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b >>> 0, 0xc2b2ae35)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** A number from the normal distribution with mean 0 and deviation 1 (Box–Muller). */
export function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()))
  return radius * Math.cos(2 * Math.PI * random())
}

/** Smooth noise in 0..1 over the plane; repeats every `periodX` lattice cells in x. */
export function valueNoise(seed: number, periodX = 4096): (x: number, y: number) => number {
  const at = (cellX: number, cellY: number): number =>
    mixSeed(seed + (((cellX % periodX) + periodX) % periodX), cellY) / 2 ** 32
  return (x, y) => {
    const cellX = Math.floor(x)
    const cellY = Math.floor(y)
    const shareX = smoothStep(x - cellX)
    const shareY = smoothStep(y - cellY)
    const top = at(cellX, cellY) * (1 - shareX) + at(cellX + 1, cellY) * shareX
    const bottom = at(cellX, cellY + 1) * (1 - shareX) + at(cellX + 1, cellY + 1) * shareX
    return top * (1 - shareY) + bottom * shareY
  }
}

/** 0 below 0, 1 above 1, and no corner between. */
export function smoothStep(value: number): number {
  const share = Math.min(1, Math.max(0, value))
  return share * share * (3 - 2 * share)
}
