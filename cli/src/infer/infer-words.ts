/** What a hub and the process that holds one of its models open say to each other. */
import type { LookOptions } from '@edgeloop/cloud-hub'
import type { PictureReading } from '@edgeloop/protocol'
import type { ModelSignature, Tensors } from '@edgeloop/protocol/oip'

export type ToModel =
  | {
      readonly kind: 'open'
      readonly file: string
      readonly description: string
      readonly layout: string
      readonly threads: number
    }
  | { readonly kind: 'infer'; readonly inputs: Tensors }
  | { readonly kind: 'look'; readonly picture: Uint8Array; readonly reading: LookOptions }

/** One for each word to the model, in their order. */
export type FromModel =
  | { readonly kind: 'opened'; readonly signature: ModelSignature }
  | { readonly kind: 'inferred'; readonly outputs: Tensors }
  | { readonly kind: 'looked'; readonly reading: PictureReading }
  | { readonly kind: 'failed'; readonly reason: string }
