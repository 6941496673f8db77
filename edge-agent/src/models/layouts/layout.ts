/**
 * What a layout is: the conventions of a family of models. It presets the input, says which outputs it
 * expects, and turns them into candidates (a detector) or reads them (everything else). A new layout is
 * one file and one test with a real model.
 */

import type { InputView } from '../../cameras/camera.ts'
import type { Tensor, TensorInfo } from '../../runtimes/runtime.ts'
import type { Candidates } from '../candidates.ts'
import type { InputSpec } from '../canvas.ts'
import type { ClassPicture, Reading, Task } from '../model.ts'

/** The part of an input that a layout knows; size, tensor layout and type come from the model. */
export type InputPreset = Pick<InputSpec, 'channels' | 'fit' | 'pad' | 'mean' | 'std'>

/** What a layout is asked to fit: a model's real outputs at a canvas size. */
export type ModelShape = {
  readonly width: number
  readonly height: number
  readonly outputs: readonly TensorInfo[]
  /** Pixels per cell of each map, where the description overrides the layout's own. */
  readonly strides?: readonly number[] | undefined
}

export type Outputs = Readonly<Record<string, Tensor>>

/** A layout bound to one model's shapes. */
export type Decoder = {
  /** Classes the model's outputs tell apart. */
  readonly classes: number
  /**
   * Adds what scores at least `scoreMin` to `candidates`, one per cell at most: its best class.
   * Boxes in canvas pixels. Numbers that are not finite are no detection.
   */
  decode(outputs: Outputs, scoreMin: number, candidates: Candidates): void
  /** Visits every number that must lie within 0..1, for the check when a model is opened. */
  scores(outputs: Outputs, visit: (score: number) => void): void
}

/** What is read out with. */
export type ReadingGiven = {
  readonly labels: readonly string[]
  /** Where the frame landed on the canvas. */
  readonly view: InputView
  readonly scoreMin: number
  /** Most entries. */
  readonly keepMax: number
  /** Class indexes that are wanted; all when left out. */
  readonly wanted: ReadonlySet<number> | undefined
}

/** A layout that is no detector's, bound to one model's shapes. */
export type Reader = {
  /** Classes the model's outputs tell apart; 0 where it needs no labels. */
  readonly classes: number
  /** @throws {Error} when the outputs hold nothing that can be read */
  read(outputs: Outputs, given: ReadingGiven): Reading
  /** Where the outputs are a map of classes. */
  picture?(outputs: Outputs, view: InputView): ClassPicture
}

/** Says what outputs were expected: `one output [1, 3549, 5 + classes] (…)`. */
export type Expectation = { readonly expected: string }

export interface Layout {
  readonly name: string
  readonly task: Task
  readonly preset: InputPreset
  /** Class names, where the layout fixes them. */
  readonly labels?: readonly string[]
  /** Pixels per cell of each map, for layouts that have cells. */
  readonly strides?: readonly number[]
  /** Binds the layout to a model, or says which outputs it had expected. */
  check(shape: ModelShape): Decoder | Reader | Expectation
}

/** Cells of a map: one per `stride` pixels, begun ones included. */
export function cellsOf(pixels: number, stride: number): number {
  return Math.ceil(pixels / stride)
}

/** True where `shape` has these sizes; undefined matches any size, and free dimensions match all. */
export function shapeFits(
  shape: readonly (number | string)[],
  sizes: readonly (number | undefined)[],
): boolean {
  if (shape.length !== sizes.length) return false
  return sizes.every((size, at) => {
    const real = shape[at]
    return size === undefined || typeof real === 'string' || real === -1 || real === size
  })
}

/** The float data of an output. @throws {TypeError} when the runtime gave something else */
export function floats(outputs: Outputs, name: string): Float32Array {
  const data = outputs[name]?.data
  if (data instanceof Float32Array) return data
  throw new TypeError(`Cannot decode output "${name}": it holds no float32 numbers`)
}
