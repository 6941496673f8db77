/**
 * Sketches: what the pictures of a stream and its model's answers looked like in an interval, summed up small enough
 * to be sent every minute, so that drift is seen without a picture leaving the box. Everything in a sketch is a
 * count or a mean with its deviation: two of them can be added up to one of the longer interval.
 */
import { type Static, Type } from 'typebox'
import { Digest, Label, StreamId, Timestamp } from './names.ts'

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const bins = (count: number) => Type.Array(Count, { minItems: count, maxItems: count })

/** Largest sketch, as JSON. Labels give way where theirs are long. */
export const sketchBytesMax = 1536

/** Bins of scores: equal, over 0..1. Of one label: half as many. */
export const scoreBins = 20
export const labelScoreBins = 10
/** Labels that have a histogram of their own: the most frequent ones. */
export const sketchLabelsMax = 4

/** Objects in a frame: least number of each bin. */
export const objectSteps = [0, 1, 2, 3, 4, 5, 7, 10, 14, 20, 29, 41] as const
/** Size of a box as the root of its area's share of the picture: least of each bin, half an octave apart. */
export const sizeSteps = [0, 0.022, 0.031, 0.044, 0.0625, 0.088, 0.125, 0.177, 0.25, 0.354] as const
/** Where the middle of a box is: a grid, row by row. */
export const placeColumns = 6
export const placeRows = 4
/** Grey levels in equal bins over 0..255, in thousandths of the pixels. */
export const greyBins = 16

/** The background as tiles, and its edges as two profiles. */
export const tileColumns = 16
export const tileRows = 9
export const profileColumns = 80
export const profileRows = 45
/** Numbers an embedding is projected to. */
export const embeddingProjection = 12

/** Mean of what was measured, and its deviation. */
export const Spread = Type.Array(Type.Number(), { minItems: 2, maxItems: 2 })
export type Spread = readonly [mean: number, deviation: number]

/** Values of 0..15, two in a byte, as base64. */
const nibbles = (count: number) => {
  const length = Math.ceil(Math.ceil(count / 2) / 3) * 4
  return Type.String({ pattern: '^[A-Za-z0-9+/]*=*$', minLength: length, maxLength: length })
}

/**
 * What stands still in the picture. From the mean of the interval's pictures, in which what moves has vanished.
 * Made so that light hardly changes it.
 */
export const Background = Type.Object({
  /** Grey level of each tile, row by row, in sixteenths of the whole scale. */
  levels: nibbles(tileColumns * tileRows),
  /** How much is to be seen in a tile, relative to its light: 0 flat, then half an octave a step. */
  textures: nibbles(tileColumns * tileRows),
  /** Edges along the width: how strong the vertical ones are in each column, 15 the strongest. */
  columns: nibbles(profileColumns),
  /** Edges along the height: the horizontal ones in each row. */
  rows: nibbles(profileRows),
})
export type Background = Static<typeof Background>

/** What a stream looked like in an interval: an aggregate. */
export const Sketch = Type.Object({
  sequence: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  kind: Type.Literal('sketch'),
  /** End of the interval. */
  at: Timestamp,
  streamId: StreamId,
  intervalMs: Type.Integer({ minimum: 1 }),
  /** Pictures that were measured; the light and the background are of these. */
  pictures: Count,
  /** Frames that went through the model; scores, objects, sizes and places are of these. */
  analysed: Count,
  /** The file of the model that answered last. */
  modelDigest: Type.Optional(Digest),
  /** Detections by score, from half the score on from which they count. */
  scores: bins(scoreBins),
  /** Frames by the number of objects in them that count: `objectSteps`. */
  objects: bins(objectSteps.length),
  /** Objects that count, by size: `sizeSteps`. */
  sizes: bins(sizeSteps.length),
  /** Objects that count, by place. */
  places: bins(placeColumns * placeRows),
  /** Detections of the most frequent labels by score; `count` is of those that count. */
  labels: Type.Array(Type.Object({ label: Label, count: Count, scores: bins(labelScoreBins) }), {
    maxItems: sketchLabelsMax,
  }),
  /** Objects of other labels. */
  otherLabels: Count,
  /** Left out where no picture was measured. */
  light: Type.Optional(
    Type.Object({
      /** Mean grey level of a picture, 0..255. */
      brightness: Spread,
      /** Deviation of its grey levels. */
      contrast: Spread,
      greys: bins(greyBins),
    }),
  ),
  /** From the model's canvas. Left out where none was filled. */
  colour: Type.Optional(
    Type.Object({
      canvases: Count,
      /** Mean of (largest - smallest channel), 0..255: 0 where the camera sees in infrared. */
      saturation: Spread,
      /** Octaves by which red exceeds green, and blue green. */
      red: Spread,
      blue: Spread,
      /**
       * How steep the strongest edges are, 0..1: their rise over two pixels as a share of that over eight. 1 for
       * an edge within a pixel, 0.25 for one that is smeared over all of them. Left out where there is no edge.
       */
      sharpness: Type.Optional(Spread),
    }),
  ),
  background: Type.Optional(Background),
  /** Of the first further model that gives embeddings: a projection of them, each number with its deviation. */
  embedding: Type.Optional(
    Type.Object({
      objects: Count,
      mean: Type.Array(Type.Number(), {
        minItems: embeddingProjection,
        maxItems: embeddingProjection,
      }),
      deviation: Type.Array(Type.Number(), {
        minItems: embeddingProjection,
        maxItems: embeddingProjection,
      }),
    }),
  ),
})
export type Sketch = Static<typeof Sketch>

/** Values of 0..15 as `Background` holds them. */
export function packNibbles(values: ArrayLike<number>): string {
  let bytes = ''
  for (let i = 0; i < values.length; i += 2) {
    bytes += String.fromCharCode((values[i]! << 4) | (values[i + 1] ?? 0))
  }
  return btoa(bytes)
}

/** The first `count` values of `packed`. */
export function unpackNibbles(packed: string, count: number): Uint8Array {
  const bytes = atob(packed)
  return Uint8Array.from({ length: count }, (_, i) => {
    const byte = bytes.charCodeAt(i >> 1) || 0
    return i % 2 === 0 ? byte >> 4 : byte & 15
  })
}
