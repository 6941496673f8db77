/**
 * Ranges that a model was trained with (quantization-aware training) travel in its file, so that whoever compiles it
 * rounds as its training has rounded, and calibrates nothing.
 */
import { create } from '@bufbuild/protobuf'
import { altered } from '../onnx/altered.ts'
import { OnnxError } from '../onnx/read.ts'
import { type ModelProto, ModelProtoSchema, StringStringEntryProtoSchema } from '../onnx/schema.ts'
import type { Range } from './range.ts'

/** The key among the model's text pairs; the value is JSON: `{"value": [min, max], …}`. */
export const trainedRangesKey = 'edgeloop.ranges'
const rangesMax = 20_000

/** The model with its ranges, in place of those that it had. */
export function withTrainedRanges(
  model: ModelProto,
  ranges: ReadonlyMap<string, Range>,
): ModelProto {
  const pairs = [...ranges].map(([name, { min, max }]) => [name, [min, max]])
  const entry = create(StringStringEntryProtoSchema, {
    key: trainedRangesKey,
    value: JSON.stringify(Object.fromEntries(pairs)),
  })
  const others = model.metadataProps.filter(({ key }) => key !== trainedRangesKey)
  return altered(ModelProtoSchema, model, { metadataProps: [...others, entry] })
}

/**
 * The ranges that a model was trained with; undefined where it has none.
 * @throws {OnnxError} when what stands there is none
 */
export function trainedRangesOf(model: ModelProto): ReadonlyMap<string, Range> | undefined {
  const text = model.metadataProps.find(({ key }) => key === trainedRangesKey)?.value
  if (text === undefined) return undefined
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot read "${trainedRangesKey}" of the model: ${why}`)
  }
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return refuse('it is no JSON')
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    return refuse('it is no object')
  }
  const entries = Object.entries(data)
  if (entries.length > rangesMax) {
    return refuse(`it has ${entries.length} ranges, at most ${rangesMax} are read`)
  }
  return new Map(
    entries.map(([name, pair]) => {
      const [min, max] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : []
      const isRange = Number.isFinite(min) && Number.isFinite(max) && Number(min) <= Number(max)
      if (!isRange) refuse(`"${name}" is ${JSON.stringify(pair)}, not [min, max]`)
      return [name, { min: Number(min), max: Number(max) }]
    }),
  )
}
