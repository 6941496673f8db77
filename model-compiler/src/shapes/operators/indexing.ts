/** Operators that pick elements by index, or find which to pick. */
import type { Dimension } from '../../graph/value-type.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { axisFrom, isNumber, plus, type Shape } from '../dimensions.ts'
import { type Inference, inferred, type OperatorTable } from '../node-facts.ts'
import { sameAsFirst } from './elementwise.ts'

const { int64 } = tensorTypes

const gather: Inference = (facts) => {
  const shape = facts.shape(0)
  const indices = facts.shape(1)
  const type = facts.elementType(0)
  if (!shape || !indices) return [inferred(type, undefined)]
  const axis = axisFrom(facts.int('axis', 0), shape.length)
  const result = [...shape.slice(0, axis), ...indices, ...shape.slice(axis + 1)]
  const values = facts.values(0)
  const places = facts.numbers(1)
  if (!values || !places || shape.length !== 1) return [inferred(type, result)]
  const picked = places.map((place) => values[axisFrom(place, values.length)])
  return [inferred(type, result, picked)]
}

const gatherNd: Inference = (facts) => {
  const shape = facts.shape(0)
  const indices = facts.shape(1)
  const depth = indices?.at(-1)
  const batch = facts.int('batch_dims', 0)
  const known = shape && indices && isNumber(depth)
  return [
    inferred(
      facts.elementType(0),
      known ? [...indices.slice(0, -1), ...shape.slice(batch + depth)] : undefined,
    ),
  ]
}

const oneHot: Inference = (facts) => {
  const indices = facts.shape(0)
  const depth = facts.values(1)?.[0]
  if (!indices) return [inferred(facts.elementType(2), undefined)]
  const axis = axisFrom(facts.int('axis', -1), indices.length + 1)
  return [inferred(facts.elementType(2), indices.toSpliced(axis, 0, depth))]
}

const topK: Inference = (facts) => {
  const shape = facts.shape(0)
  if (!shape) return [inferred(facts.elementType(0), undefined), inferred(int64, undefined)]
  const axis = axisFrom(facts.int('axis', -1), shape.length)
  const count = facts.int('k', undefined) ?? facts.values(1)?.[0]
  const result: Shape = shape.with(axis, count)
  return [inferred(facts.elementType(0), result), inferred(int64, result)]
}

const compress: Inference = (facts) => {
  const shape = facts.shape(0)
  const axis = facts.int('axis', undefined)
  const kept = facts.numbers(1)?.filter((one) => one !== 0).length
  const result = axis === undefined ? [kept] : shape?.with(axisFrom(axis, shape.length), kept)
  return [inferred(facts.elementType(0), result)]
}

const unique: Inference = (facts) => {
  const shape = facts.shape(0)
  const axis = facts.int('axis', undefined)
  const result =
    axis === undefined ? [undefined] : shape?.with(axisFrom(axis, shape.length), undefined)
  const list = inferred(int64, [undefined])
  return [inferred(facts.elementType(0), result), list, list, list]
}

const stringSplit: Inference = (facts) => {
  const shape = facts.shape(0)
  return [inferred(facts.elementType(0), shape && [...shape, undefined]), inferred(int64, shape)]
}

const termCounts: Inference = (facts) => {
  const longest = Math.max(-1, ...facts.ints('ngram_indexes', [])) + 1
  const shape = facts.shape(0)
  return [inferred(tensorTypes.float32, shape && [...shape.slice(0, -1), longest])]
}

/** What a range holds, as ONNX counts: from the start, without the end. */
const range: Inference = (facts) => {
  const [start, limit, delta] = [0, 1, 2].map((at) => facts.numbers(at)?.[0])
  if (start === undefined || limit === undefined || !delta) {
    return [
      inferred(facts.elementType(0), [
        rangeLength(facts.values(0)?.[0], facts.values(1)?.[0], delta),
      ]),
    ]
  }
  const length = Math.max(0, Math.ceil((limit - start) / delta))
  const values =
    length <= 1024 ? Array.from({ length }, (_, index) => start + index * delta) : undefined
  return [inferred(facts.elementType(0), [length], values)]
}
/** From 0 to a free dimension in steps of 1. */
const rangeLength = (start: Dimension, limit: Dimension, delta: number | undefined): Dimension =>
  start === 0 && delta === 1 ? plus(limit, 0) : undefined

export const indexing: OperatorTable = {
  Gather: gather,
  GatherElements: (facts) => [inferred(facts.elementType(0), facts.shape(1))],
  GatherND: gatherNd,
  Scatter: sameAsFirst,
  ScatterElements: sameAsFirst,
  ScatterND: sameAsFirst,
  TensorScatter: sameAsFirst,
  OneHot: oneHot,
  TopK: topK,
  Compress: compress,
  Unique: unique,
  NonZero: (facts) => [inferred(int64, [facts.shape(0)?.length, undefined])],
  NonMaxSuppression: () => [inferred(int64, [undefined, 3])],
  Range: range,
  StringSplit: stringSplit,
  TfIdfVectorizer: termCounts,
}
