/**
 * The colour of a label, the same on pictures, in lists and after a reload: at least 6.8:1 on black,
 * told apart with the common kinds of colour blindness. There are eight; the next eight are dashed.
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

export type ClassStyle = { readonly colour: string; readonly dashed: boolean }

/** Depends on nothing but the label itself (FNV-1a over its UTF-16 units). */
export function classStyle(label: string): ClassStyle {
  let hash = 0x811c9dc5
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193)
  const slot = (hash >>> 0) % (colours.length * 2)
  return { colour: colours[slot % colours.length] ?? '#FFFFFF', dashed: slot >= colours.length }
}
