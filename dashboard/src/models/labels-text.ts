/** Class names as people paste them: one a line, as in a labels file. Pure. */

/** @returns the names in their order; empty lines are none */
export const labelsIn = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** A name for a model from that of its file: `YOLOX Nano (416).onnx` becomes `yolox_nano_416`. */
export const nameFrom = (file: string): string =>
  file
    .replace(/\.onnx$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9_.-]+/g, '_')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 63)
    .replace(/[^a-z0-9]+$/, '')

/** The layout that a name speaks of, of those that are known. */
export const layoutFrom = (name: string, layouts: readonly string[]): string | undefined =>
  layouts.toSorted((a, b) => b.length - a.length).find((layout) => name.includes(layout))
