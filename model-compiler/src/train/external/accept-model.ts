/**
 * Takes what an external trainer left, or refuses it. Its model must be one that we could have trained: one file, known
 * operators, the inputs and outputs that were ordered, and numbers when it is run. What it says of its accuracy is not
 * believed by anybody: that is measured here.
 */
import { createHash } from 'node:crypto'
import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { misfitOf } from '@edgeloop/protocol/check'
import { runInChild } from '../../compile/child.ts'
import { verify } from '../../graph/verify.ts'
import { isExternal } from '../../onnx/external-data.ts'
import { OnnxError, readModel } from '../../onnx/read.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensorsIn } from '../../onnx/tensors.ts'
import { TrainError } from '../run/train-error.ts'
import {
  type ExternalOrder,
  ExternalResult,
  names,
  resultBytesMax,
  type Shape,
  type TensorPort,
} from './contract.ts'
import { portsOf } from './prepare-order.ts'
import type { TriedModel, TryOrder } from './try-model-process.ts'

export type Accepted = {
  readonly model: ModelProto
  readonly file: string
  readonly bytes: Uint8Array
  readonly digest: string
  readonly result: ExternalResult
}

const tryProcess = fileURLToPath(new URL('try-model-process.ts', import.meta.url))
/** A batch that no export can have fixed by chance. */
const triedBatch = 3

/** @throws {TrainError} saying what is missing or wrong */
export async function acceptModel(
  folder: string,
  order: ExternalOrder,
  signal?: AbortSignal,
): Promise<Accepted> {
  const output = join(folder, order.output)
  const result = resultFrom(await plainFile(join(output, names.result), resultBytesMax))
  const file = join(output, names.model)
  const bytes = await plainFile(file, order.limits.modelBytes)
  const model = modelFrom(bytes, order)
  const tried = await runInChild<TryOrder, never, TriedModel>({
    program: tryProcess,
    order: { file, inputs: filled(order.inputs, triedBatch) },
    what: `use the trained model "${file}"`,
    doing: () => 'running it once',
    limits: {
      timeoutMs: 120_000,
      memoryBytesMax: Math.min(order.limits.memoryBytes, 8 * 1024 ** 3),
    },
    ...(signal && { signal }),
  }).catch((error: Error) => {
    signal?.throwIfAborted()
    throw refused(error.message)
  })
  for (const { name, shape } of order.outputs) {
    const given = tried.outputs.find((one) => one.name === name)
    const wanted = shape.map((length, axis) => (axis === 0 ? triedBatch : length))
    if (!given || !isLike(given.shape, wanted)) {
      throw refused(
        `its output "${name}" is ${given ? text(given.shape) : 'not there'} when it is run, ${text(wanted)} was ordered`,
      )
    }
    if (!given.isFinite) throw refused(`its output "${name}" is no number when it is run`)
  }
  return { model, file, bytes, digest: createHash('sha256').update(bytes).digest('hex'), result }
}

const refused = (why: string): TrainError =>
  new TrainError(`Cannot take what the trainer left: ${why}`)

async function plainFile(file: string, bytesMax: number): Promise<Uint8Array> {
  // Not followed: a link could lead to a file of ours.
  const found = await lstat(file).catch(() => undefined)
  if (!found) throw refused(`"${file}" is not there`)
  if (!found.isFile()) throw refused(`"${file}" is no plain file`)
  if (found.size > bytesMax) {
    throw refused(`"${file}" has ${found.size} bytes, at most ${bytesMax} are taken`)
  }
  return await readFile(file)
}

function resultFrom(bytes: Uint8Array): ExternalResult {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw refused(`${names.result} is no JSON (${(cause as Error).message})`)
  }
  const misfit = misfitOf(ExternalResult, value)
  if (misfit !== undefined) throw refused(`${names.result}: ${misfit}`)
  return value as ExternalResult
}

function modelFrom(bytes: Uint8Array, order: ExternalOrder): ModelProto {
  let model: ModelProto
  try {
    model = readModel(bytes, { name: names.model, sizeBytesMax: order.limits.modelBytes })
    const outside = [...tensorsIn(model)].find(isExternal)
    if (outside) {
      throw new OnnxError(
        `tensor "${outside.name}" lies in another file; everything has to be in ${names.model}`,
      )
    }
    verify(model, { name: names.model })
  } catch (error) {
    if (error instanceof OnnxError) throw refused(error.message)
    throw error
  }
  const { inputs, outputs } = portsOf(model)
  comparePorts('input', inputs, order.inputs)
  comparePorts('output', outputs, order.outputs)
  return model
}

function comparePorts(
  kind: 'input' | 'output',
  has: readonly TensorPort[],
  wanted: readonly TensorPort[],
): void {
  const listed = (ports: readonly TensorPort[]) =>
    ports.map(({ name, shape }) => `"${name}" ${text(shape)}`).join(', ') || 'none'
  const fits =
    has.length === wanted.length &&
    wanted.every(({ name, shape }) => {
      const own = has.find((one) => one.name === name)
      return own !== undefined && isLike(own.shape, shape)
    })
  if (!fits) {
    throw refused(`its ${kind}s are ${listed(has)}, ordered were ${listed(wanted)}`)
  }
}

/** What one side leaves open fits anything of the other. */
const isLike = (shape: Shape, wanted: Shape): boolean =>
  (shape.length === 0 && wanted.length > 0) ||
  (shape.length === wanted.length &&
    shape.every(
      (length, axis) => length === null || wanted[axis] === null || length === wanted[axis],
    ))

const text = (shape: Shape): string => `[${shape.map((length) => length ?? '?').join(', ')}]`

/** Shapes to try a model with: lengths that are open are small. */
const filled = (ports: readonly TensorPort[], batch: number) =>
  ports.map(({ name, shape }) => ({
    name,
    shape: shape.map((length, axis) => (axis === 0 ? batch : (length ?? 32))),
  }))
