/** The layouts we speak, by name. */
import { nearestName } from '@edgeloop/protocol/nearest'
import { ModelError } from '../../runtimes/runtime.ts'
import { fastestdet } from './fastestdet.ts'
import type { Layout } from './layout.ts'
import { nanodet } from './nanodet.ts'
import { ultraface } from './ultraface.ts'
import { yolox } from './yolox.ts'

export const layouts: readonly Layout[] = [yolox, nanodet, fastestdet, ultraface]

/** @throws {ModelError} naming the nearest layout */
export function layoutNamed(name: string): Layout {
  const layout = layouts.find((known) => known.name === name)
  if (layout) return layout
  const names = layouts.map((known) => known.name)
  const near = nearestName(name, names)
  const hint = near ? `did you mean "${near}"?` : `known layouts are ${names.join(', ')}`
  throw new ModelError(`Cannot use layout "${name}": there is no such layout; ${hint}`)
}
