/**
 * What a description says: all that a model's own file does not say about itself, as YAML or JSON.
 * It overrides the layout's preset.
 */
import { parse } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { parse as parseYaml } from 'yaml'
import { ModelError } from '../runtimes/runtime.ts'
import { fits, tensorLayouts } from './canvas.ts'

const closed = { additionalProperties: false } as const
const Pixels = Type.Integer({ minimum: 1, maximum: 8192 })
const Byte = Type.Number({ minimum: 0, maximum: 255 })
const Deviation = Type.Number({ exclusiveMinimum: 0 })
const Mean = Type.Union([Byte, Type.Array(Byte, { minItems: 3, maxItems: 3 })])
const Std = Type.Union([Deviation, Type.Array(Deviation, { minItems: 3, maxItems: 3 })])

/** What a description may say; everything may be left out. */
export const Description = Type.Object(
  {
    /** Name of the layout the model speaks, such as `yolox`. */
    layout: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    /** `coco`, a file with one label per line (relative to this file), or the labels themselves. */
    labels: Type.Optional(
      Type.Union([
        Type.String({ minLength: 1, maxLength: 4096 }),
        Type.Array(Type.String(), { minItems: 1, maxItems: 10_000 }),
      ]),
    ),
    input: Type.Optional(
      Type.Object(
        {
          /** Canvas size in pixels: only where the model leaves it free. */
          width: Type.Optional(Pixels),
          height: Type.Optional(Pixels),
          channels: Type.Optional(Type.Union([Type.Literal('rgb'), Type.Literal('bgr')])),
          fit: Type.Optional(Type.Union(fits.map((fit) => Type.Literal(fit)))),
          /** Byte value around a letterboxed frame. */
          pad: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
          /** `(byte - mean) / std`: one number, or one per channel in the order of `channels`. */
          mean: Type.Optional(Mean),
          std: Type.Optional(Std),
          layout: Type.Optional(Type.Union(tensorLayouts.map((name) => Type.Literal(name)))),
          type: Type.Optional(Type.Union([Type.Literal('float32'), Type.Literal('uint8')])),
        },
        closed,
      ),
    ),
    /** Pixels per cell of each output map, where they differ from the layout's own. */
    strides: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 1024 }), { minItems: 1, maxItems: 8 }),
    ),
  },
  closed,
)
export type Description = Static<typeof Description>

/** Most bytes of a description: a list of 10,000 labels fits. */
const sizeBytesMax = 2 * 1024 * 1024

/**
 * @param what names the data in errors
 * @throws {ModelError} when it is not YAML or JSON, or says something a description does not know
 */
export function parseDescription(bytes: Uint8Array, what: string): Description {
  if (bytes.length > sizeBytesMax) {
    throw new ModelError(`Cannot read ${what}: ${bytes.length} bytes, allowed ${sizeBytesMax}`)
  }
  try {
    // JSON is YAML; an empty file says nothing, which is allowed.
    const data = parseYaml(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) ?? {}
    return parse(Description, data, what)
  } catch (cause) {
    const text = (cause as Error).message
    if (text.startsWith('Cannot read')) throw new ModelError(text, { cause })
    const [firstLine = ''] = text.split('\n')
    throw new ModelError(`Cannot read ${what}: not YAML or JSON (${firstLine})`, { cause })
  }
}
