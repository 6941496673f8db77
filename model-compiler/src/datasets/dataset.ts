/**
 * What a data set is, whatever form it came in: a list of samples, each a picture named by the digest of its bytes,
 * with what people said is in it. What `openDataset` gives has been looked through: boxes lie within their image and
 * have a size, labels are in the list, one digest is one sample; what did not fit is in `problems`.
 */
import type { Box } from '../evaluate/average-precision.ts'
import type { PictureSource } from './pictures.ts'
import type { Problems } from './problems.ts'

export type { Box }

/** A place in a picture, as shares of its width and height. */
export type Point = readonly [number, number]

/** What a person, or a teacher model, says is in a sample. */
export type Annotation =
  | { readonly kind: 'class'; readonly label: string }
  | {
      readonly kind: 'box'
      readonly label: string
      /** Left, top, width, height as shares of the picture. */
      readonly box: Box
      /** A crowd that nobody counted: neither a target nor a false detection. */
      readonly crowd?: boolean
    }
  | {
      readonly kind: 'polygon'
      readonly label: string
      /** At least three; the outline is closed. */
      readonly points: readonly Point[]
    }
  | MaskAnnotation
  | { readonly kind: 'number'; readonly name: string; readonly value: number }

/** A picture of class indexes as large as the sample: PNG, one byte a pixel; 255 belongs to no class. */
export type MaskAnnotation = {
  readonly kind: 'mask'
  /** What the values 0, 1, 2 … mean. */
  readonly labels: readonly string[]
  /** Path within the folder of the set. */
  readonly file: string
  /** SHA-256 of the file's bytes, hex: what the frozen list names it by. */
  readonly digest: string
}

export type Sample = {
  /** SHA-256 of the bytes of the image, hex; of its raw pixels where the format has no files. */
  readonly digest: string
  /** Path within the folder, or `train/12` where the format has no files. */
  readonly name: string
  /** In pixels, as a person sees the image: after EXIF rotation. */
  readonly width: number
  readonly height: number
  readonly site?: string
  readonly stream?: string
  /** Milliseconds since 1970. */
  readonly capturedAt?: number
  readonly annotations: readonly Annotation[]
}

/** Decoded pixels, row by row, RGB or grey. */
export type Picture = {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data: Uint8Array
}

export type Dataset = {
  readonly name: string
  /** In the order of a model's outputs. */
  readonly labels: readonly string[]
  /** In the order of the source; no digest occurs twice. */
  readonly samples: readonly Sample[]
  /** SHA-256 of the frozen list: see `frozenLines`. */
  readonly digest: string
  /** What was found wrong while reading, and left out or cut. */
  readonly problems: Problems
  /** What paths of images and masks are within. */
  readonly folder: string
  /** Where pictures come from, in a form that another thread can open. */
  readonly pictures: PictureSource
  /** @throws {DatasetError} when the picture is gone, broken, or no longer the one of its digest's size */
  picture(sample: Sample, signal?: AbortSignal): Promise<Picture>
  /** The indexes of a mask, at its own size. */
  mask(annotation: MaskAnnotation, signal?: AbortSignal): Promise<Picture>
  /** The bytes that the digest is of: a file's, or raw pixels. */
  bytes(sample: Sample, signal?: AbortSignal): Promise<Uint8Array>
}

export const splitNames = ['train', 'validation', 'test'] as const
export type SplitName = (typeof splitNames)[number]
/** What a sample is for, by digest. */
export type Split = ReadonlyMap<string, SplitName>
