/** Random numbers that a seed decides, for weights. */

export type Random = () => number

/**
 * Uniform in [0, 1), 32 bits of it (mulberry32: a Weyl sequence through a mixing function).
 * @param seed whole number; its lower 32 bits count
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Numbers of a normal distribution around 0 (Box and Muller). */
export function normal(random: Random, count: number, deviation: number): Float32Array {
  const values = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random()))
    const angle = 2 * Math.PI * random()
    values[i] = radius * Math.cos(angle)
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle)
  }
  return values
}
