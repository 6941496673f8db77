/** What the processes that make a model ready for boxes are asked, and what they answer. */
import type { EncodingFile, Prepared } from '@edgeloop/cloud-hub'
import type { GoldenVector } from '@edgeloop/protocol'
import type { InspectOrder } from './compile-order.ts'

/** Does the file pass the gate, and what does a box feed it? */
export type DescribeOrder = InspectOrder & { readonly kind: 'describe' }
export type Described = {
  readonly opset: number
  readonly inputs: GoldenVector['inputs']
}

/** What comes out, and what that costs. */
export type MeasureOrder = {
  readonly kind: 'measure'
  readonly file: string
  readonly inputs: GoldenVector['inputs']
}
export type Measured = Pick<Prepared, 'golden' | 'limits'>

/** How the bytes travel. */
export type EncodeOrder = {
  readonly kind: 'encode'
  readonly file: string
  readonly bases: readonly string[]
  /** Folder that is there. */
  readonly out: string
}
export type Encoded = {
  readonly scalesDigest: string
  readonly encodings: readonly EncodingFile[]
}
