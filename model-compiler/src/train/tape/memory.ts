/** How much a graph holds at a time when its nodes run in order: an estimate from shapes. */
import type { ModelProto } from '../../onnx/schema.ts'
import { bitsOf, tensorTypes } from '../../onnx/types.ts'
import { type Sym, sizeOf } from './sym.ts'

/** The runtime's code and its own form of the graph. */
const baseBytes = 60 * 2 ** 20
/**
 * What the runtime's arena takes of the system for each byte that is alive: it hands memory out in rounded pieces. With this number
 * the estimate lay between a tenth below and a quarter above what six detectors and segmenters took.
 */
const arenaShare = 1.5

/**
 * Constants and inputs stay; a value lives from the node that makes it to the last that reads it; outputs are held twice, as
 * the binding copies them. What an operator needs while it runs is not known, and in-place work not counted: the two about
 * cancel.
 */
export function peakBytes(model: ModelProto, symOf: (name: string) => Sym | undefined): number {
  const { node = [], initializer = [], input = [], output = [] } = model.graph ?? {}
  const bytesOf = (name: string): number => {
    const sym = symOf(name)
    if (sym === undefined) return 0
    return sizeOf(sym.shape) * Math.max(1, (bitsOf(tensorTypes[sym.type]) ?? 8) / 8)
  }
  const staying = new Set([...input, ...output, ...initializer].map(({ name }) => name))
  const lastRead = new Map<string, number>()
  for (const [at, one] of node.entries()) for (const name of one.input) lastRead.set(name, at)
  let live = initializer.reduce((sum, { rawData }) => sum + rawData.length, 0)
  for (const { name } of input) live += bytesOf(name)
  let peak = live
  for (const [at, one] of node.entries()) {
    for (const name of one.output) live += bytesOf(name)
    peak = Math.max(peak, live)
    for (const name of new Set([...one.input, ...one.output])) {
      if (!staying.has(name) && (lastRead.get(name) ?? at) === at) live -= bytesOf(name)
    }
  }
  const copied = output.reduce((sum, { name }) => sum + bytesOf(name), 0)
  return Math.round(baseBytes + arenaShare * peak + copied)
}
