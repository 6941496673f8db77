/** Where the points of a small line lie. */

/**
 * An SVG path through `values`, broken where one is missing; a value that stands alone is a short stroke.
 * @param frame its size, and the value at the top edge, which greater ones raise
 */
export function sparklinePath(
  values: readonly (number | null)[],
  frame: { readonly width: number; readonly height: number; readonly max: number },
): string {
  const top = Math.max(frame.max, ...values.map((value) => value ?? 0))
  const step = frame.width / Math.max(1, values.length - 1)
  const inset = 1
  let path = ''
  let open = false
  for (const [index, value] of values.entries()) {
    if (value === null) {
      open = false
      continue
    }
    const x = round(index * step)
    const y = round(inset + (1 - value / top) * (frame.height - 2 * inset))
    const alone = !open && typeof values[index + 1] !== 'number'
    path += open ? `L${x} ${y}` : `M${x} ${y}${alone ? `h${round(step / 2)}` : ''}`
    open = true
  }
  return path
}

const round = (value: number): number => Math.round(value * 10) / 10
