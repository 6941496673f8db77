/** Damage to ONNX files, by chance: to the bytes as a disk or a network does it, to the fields as a bad exporter or an attacker does. */
import { type ModelProto, OnnxError, readModel, writeModel } from '@edgeloop/model-compiler'

export type Random = () => number
const below = (random: Random, count: number): number => Math.floor(random() * count)
const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)]!

/** A damaged copy. Half of the time the bytes are damaged, else fields of what they say. */
export function mutate(random: Random, file: Uint8Array): Uint8Array {
  if (random() < 0.5) return damagedBytes(random, file)
  const model = readModel(file)
  for (let left = 1 + below(random, 3); left > 0; left--) damageField(random, model)
  try {
    return writeModel(model)
  } catch (error) {
    // A number that the encoding does not hold (protobuf refuses it): there is no such file.
    if (error instanceof OnnxError) throw error
    return damagedBytes(random, file)
  }
}

function damagedBytes(random: Random, file: Uint8Array): Uint8Array {
  let bytes = Buffer.from(file)
  for (let left = 1 + below(random, 4); left > 0; left--) {
    const at = below(random, bytes.length)
    const length = 1 + below(random, 24)
    switch (below(random, 6)) {
      case 0:
        bytes[at] = bytes[at]! ^ (1 << below(random, 8))
        break
      case 1:
        bytes[at] = pick(random, [0, 0x7f, 0x80, 0xff, 0x0a, 0x12])
        break
      case 2: // A number grows to the largest there is.
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(9, 0xff), bytes.subarray(at)])
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
        break
      default:
        if (random() < 0.3) bytes = bytes.subarray(0, at)
        else bytes.copyWithin(at, below(random, bytes.length), below(random, bytes.length))
    }
    if (bytes.length === 0) return bytes
  }
  return bytes
}

type Slot = { readonly holder: Record<string, unknown> | unknown[]; readonly key: string | number }

/** Every place in a message that holds something. */
function slotsOf(message: object, slots: Slot[] = []): Slot[] {
  for (const [key, value] of Object.entries(message)) {
    if (key.startsWith('$')) continue
    slots.push({ holder: message as Record<string, unknown>, key })
    if (Array.isArray(value)) {
      for (const [at, one] of value.entries()) {
        slots.push({ holder: value, key: at })
        if (typeof one === 'object' && !ArrayBuffer.isView(one)) slotsOf(one, slots)
      }
    } else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
      slotsOf(value, slots)
    }
  }
  return slots
}

const words = [
  ...['', 'x', 'y', 'a', 'ai.onnx', 'com.microsoft', 'constructor', '__proto__', 'toString'],
  ...['../secret', '/etc/passwd', 'secret', 'data/../../secret', 'a\0b', '\u001b[31m', 'location'],
  ...[
    'Conv',
    'Reshape',
    'Slice',
    'If',
    'Loop',
    'Scan',
    'Concat',
    'Range',
    'Einsum',
    'Resize',
    'Pad',
  ],
  ...[
    'Expand',
    'Tile',
    'ConstantOfShape',
    'Gather',
    'TopK',
    'Split',
    'LSTM',
    'STFT',
    'OneHot',
    'Upsample',
  ],
]
const longs = [
  0n,
  1n,
  -1n,
  2n,
  3n,
  7n,
  16n,
  255n,
  2n ** 31n,
  2n ** 32n,
  2n ** 62n,
  2n ** 63n - 1n,
  -(2n ** 63n),
]
const numbers = [0, 1, -1, 2, 5, 7, 9, 10, 16, 99, 2 ** 31 - 1, -(2 ** 31)]

function damageField(random: Random, model: ModelProto): void {
  const { holder, key } = pick(random, slotsOf(model))
  const put = (value: unknown) => {
    ;(holder as Record<string | number, unknown>)[key] = value
  }
  const value = (holder as Record<string | number, unknown>)[key]
  if (Array.isArray(value)) damageList(random, value)
  else if (Array.isArray(holder) && random() < 0.3) holder.splice(Number(key), 1)
  else if (typeof value === 'bigint') put(pick(random, longs))
  else if (typeof value === 'number') {
    put(Number.isInteger(value) ? pick(random, numbers) : pick(random, [0, NaN, Infinity, -1e38]))
  } else if (typeof value === 'string') {
    put(random() < 0.05 ? 'n'.repeat(100_000) : pick(random, words))
  } else if (value instanceof Uint8Array) {
    put(
      random() < 0.5
        ? value.subarray(0, below(random, value.length + 1))
        : damagedBytes(random, Buffer.concat([value, Buffer.of(0)])),
    )
  }
}

function damageList(random: Random, list: unknown[]): void {
  if (list.length === 0) return
  const at = below(random, list.length)
  switch (below(random, 4)) {
    case 0:
      list.splice(at, 1)
      break
    case 1:
      list.push(list[at])
      break
    case 2:
      list.reverse()
      break
    default:
      for (let left = below(random, 300); left > 0; left--) list.push(list[at])
  }
}
