/** The layouts we speak, by name. */
import { nearestName } from '@edgeloop/protocol/nearest'
import { ModelError } from '../../runtimes/runtime.ts'
import { classifier } from './classifier.ts'
import { embedding } from './embedding.ts'
import { fastestdet } from './fastestdet.ts'
import type { Layout } from './layout.ts'
import { nanodet } from './nanodet.ts'
import { picodet } from './picodet.ts'
import { segmentation } from './segmentation.ts'
import { ultraface } from './ultraface.ts'
import { yolov8 } from './yolov8.ts'
import { yolox } from './yolox.ts'

export const layouts: readonly Layout[] = [
  ...[yolox, yolov8, nanodet, picodet, fastestdet, ultraface],
  ...[classifier, segmentation, embedding],
]

/** @throws {ModelError} naming the nearest layout */
export function layoutNamed(name: string): Layout {
  const layout = layouts.find((known) => known.name === name)
  if (layout) return layout
  const names = layouts.map((known) => known.name)
  const near = nearestName(name, names)
  const hint = near ? `did you mean "${near}"?` : `known layouts are ${names.join(', ')}`
  throw new ModelError(`Cannot use layout "${name}": there is no such layout; ${hint}`)
}
