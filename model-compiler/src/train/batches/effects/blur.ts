/** Gaussian blur, along rows and then along columns; beyond the edge the last pixel goes on. */
export function blur(
  canvas: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3,
  sigma: number,
): void {
  // Beyond three sigma a byte no longer changes.
  const reach = Math.max(1, Math.ceil(3 * sigma))
  const bell = Array.from({ length: 2 * reach + 1 }, (_, at) =>
    Math.exp(-((at - reach) ** 2) / (2 * sigma * sigma)),
  )
  const sum = bell.reduce((all, weight) => all + weight, 0)
  const weights = Float32Array.from(bell, (weight) => weight / sum)
  const longest = Math.max(width, height)
  const line = new Float32Array(longest + 2 * reach)
  const along = (start: number, step: number, length: number) => {
    for (let at = 0; at < length + 2 * reach; at++) {
      line[at] = canvas[start + Math.min(length - 1, Math.max(0, at - reach)) * step]!
    }
    for (let at = 0; at < length; at++) {
      let value = 0.5
      for (let tap = 0; tap < weights.length; tap++) value += weights[tap]! * line[at + tap]!
      canvas[start + at * step] = value
    }
  }
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < height; row++) along(row * width * channels + channel, channels, width)
    for (let column = 0; column < width; column++) {
      along(column * channels + channel, width * channels, height)
    }
  }
}
