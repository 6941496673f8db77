/**
 * The colour of a label, the same on pictures, in lists and after a reload: at least 6.8:1 on black, and
 * told apart with the common kinds of colour blindness. There are eight, so the label always stands
 * beside its colour.
 */

const colours = [
  '#56B4E9',
  '#E69F00',
  '#2FBF71',
  '#F0E442',
  '#FF6B3D',
  '#E68AC0',
  '#6C8CFF',
  '#FFFFFF',
] as const

/**
 * Where the hash begins. Any number would do; with this one the labels of the demo and the commonest of
 * COCO (people and vehicles; animals) each fall on colours of their own, `defect` on the loudest.
 */
const basis = 0x811c9dc5 ^ 29032

/** Depends on nothing but the label itself (FNV-1a over its UTF-16 units, mixed once more). */
export function classColour(label: string): string {
  let hash = basis
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x7feb352d)
  hash ^= hash >>> 15
  return colours[(hash >>> 0) % colours.length] ?? '#FFFFFF'
}

/** The n-th colour, for a few things that are to be told apart, such as people. */
export const colourAt = (n: number): string => colours[n % colours.length] ?? '#FFFFFF'
