/**
 * Samples with their annotations, and the datasets that are frozen from them. A dataset is named; what is in it may
 * change until it is frozen: a version of a dataset is a list of annotated samples that never changes, named by the
 * digest of that list.
 */
import { type Static, Type } from 'typebox'
import { ModelName, UploadId } from './models.ts'
import { Box, Digest, isName, Label, SiteId, StreamId, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

/** Same alphabet as the name of a model. */
export const DatasetName = ModelName
export const DatasetVersionNumber = Type.Integer({ minimum: 1, maximum: 1_000_000 })

/** Samples in one dataset. */
export const datasetSamplesMax = 200_000
/** Annotations of one sample: a crowd, each person an outline of its own. */
export const sampleAnnotationsMax = 10_000
/** Labels of one dataset: those of ImageNet, and many more. */
export const datasetLabelsMax = 10_000
/** Samples in one request. */
export const samplesBatchMax = 1000
/** Bytes of one picture. */
export const samplePictureBytesMax = 32 * 1024 * 1024
/** An archive of pictures and annotations; more comes by the command line, picture by picture. */
export const datasetArchiveBytesMax = 2 * 1024 * 1024 * 1024

const Share = Type.Number({ minimum: 0, maximum: 1 })

/** What a person or a teacher model says is in a sample. Places are shares (0..1) of the picture. */
export const SampleAnnotation = Type.Union(
  [
    Type.Object({ kind: Type.Literal('class'), label: Label }, closed),
    Type.Object(
      {
        kind: Type.Literal('box'),
        label: Label,
        box: Box,
        /** Many of them that nobody told apart: found or not, it counts neither way. */
        crowd: Type.Optional(Type.Boolean()),
      },
      closed,
    ),
    Type.Object(
      {
        kind: Type.Literal('polygon'),
        label: Label,
        points: Type.Array(Type.Tuple([Share, Share]), { minItems: 3, maxItems: 10_000 }),
      },
      closed,
    ),
    Type.Object(
      {
        kind: Type.Literal('mask'),
        /** What each value of the mask stands for; 255 for nothing. */
        labels: Type.Array(Label, { maxItems: 255 }),
        /** Path in the set it came from. */
        file: Type.String({ minLength: 1, maxLength: 1000 }),
        /** Of a PNG as large as the picture, one byte a pixel. */
        digest: Digest,
      },
      closed,
    ),
    Type.Object(
      {
        kind: Type.Literal('number'),
        name: Type.String({ minLength: 1, maxLength: 100 }),
        value: Type.Number(),
      },
      closed,
    ),
  ],
  { $id: 'SampleAnnotation' },
)
export type SampleAnnotation = Static<typeof SampleAnnotation>

const SampleAnnotations = Type.Array(SampleAnnotation, { maxItems: sampleAnnotationsMax })

/** How the bytes of a sample are a picture: a file of an image format, or pixels row by row as MNIST has them. */
export const pictureForms = [
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/gif',
  'image/tiff',
  'image/heif',
  'raw-grey',
  'raw-rgb',
] as const
export type PictureForm = (typeof pictureForms)[number]

/** A frame kept for learning, named by the digest of its bytes, with what is said of it in one dataset. */
export const DatasetSample = Type.Object(
  {
    digest: Digest,
    /** Path in the set it came from; people know it by that. */
    name: Type.String({ maxLength: 1000 }),
    width: Type.Integer({ minimum: 1, maximum: 65_535 }),
    height: Type.Integer({ minimum: 1, maximum: 65_535 }),
    site: Type.Optional(SiteId),
    stream: Type.Optional(StreamId),
    capturedAt: Type.Optional(Timestamp),
    annotations: SampleAnnotations,
  },
  { $id: 'DatasetSample', ...closed },
)
export type DatasetSample = Static<typeof DatasetSample>

/** A sample as the compiler reads it from a folder. */
type SampleRead = {
  readonly digest: string
  readonly name: string
  readonly width: number
  readonly height: number
  readonly site?: string
  readonly stream?: string
  /** Milliseconds since 1970. */
  readonly capturedAt?: number
  readonly annotations: readonly unknown[]
}

/**
 * A sample that was read as it goes to a hub, which checks it. Sites and streams are names there: what is none is
 * left out.
 */
export function sampleToSend({ site, stream, capturedAt, ...sample }: SampleRead): DatasetSample {
  return {
    ...sample,
    ...(site !== undefined && isName(site) && { site }),
    ...(stream !== undefined && isName(stream) && { stream }),
    ...(capturedAt !== undefined && { capturedAt: new Date(capturedAt).toISOString() }),
    annotations: sample.annotations as SampleAnnotation[],
  }
}

/** A dataset with what is in it now. */
export const DatasetRow = Type.Object(
  {
    name: DatasetName,
    description: Type.String(),
    /** Their order is that of a model's outputs; new ones come last. */
    labels: Type.Array(Label),
    samples: Type.Integer({ minimum: 0 }),
    /** Of them, those that anything is said of. */
    annotated: Type.Integer({ minimum: 0 }),
    /** Counts every change of what is in it. */
    revision: Type.Integer({ minimum: 0 }),
    /** Frozen versions. */
    versions: Type.Integer({ minimum: 0 }),
    /** A few of its samples, to be recognized by. */
    faces: Type.Array(Digest),
    by: Type.String(),
    createdAt: Timestamp,
    changedAt: Timestamp,
  },
  { $id: 'DatasetRow' },
)
export type DatasetRow = Static<typeof DatasetRow>

/** A dataset with what is in it, counted. */
export const DatasetDetail = Type.Object(
  {
    dataset: DatasetRow,
    /** In the order of the labels. */
    labelCounts: Type.Array(
      Type.Object({
        label: Label,
        samples: Type.Integer({ minimum: 0 }),
        annotations: Type.Integer({ minimum: 0 }),
      }),
    ),
    /** Where samples come from, most first; the first 200. */
    sources: Type.Array(
      Type.Object({
        site: Type.Union([SiteId, Type.Null()]),
        stream: Type.Union([StreamId, Type.Null()]),
        samples: Type.Integer({ minimum: 1 }),
      }),
    ),
    /** Kinds of problems that the last inspection found, and in how many samples. */
    problems: Type.Array(
      Type.Object({ kind: Type.String(), samples: Type.Integer({ minimum: 1 }) }),
    ),
  },
  { $id: 'DatasetDetail' },
)
export type DatasetDetail = Static<typeof DatasetDetail>

const DatasetLabels = Type.Array(Label, { maxItems: datasetLabelsMax, uniqueItems: true })

export const DatasetRequest = Type.Object(
  {
    name: DatasetName,
    description: Type.Optional(Type.String({ maxLength: 2000 })),
    labels: Type.Optional(DatasetLabels),
  },
  { $id: 'DatasetRequest', ...closed },
)
export type DatasetRequest = Static<typeof DatasetRequest>

export const DatasetEdit = Type.Object(
  {
    description: Type.Optional(Type.String({ maxLength: 2000 })),
    /** Labels that are not there yet; they come last. */
    addLabels: Type.Optional(DatasetLabels),
  },
  { $id: 'DatasetEdit', minProperties: 1, ...closed },
)
export type DatasetEdit = Static<typeof DatasetEdit>

/** Head of a pack of pictures: their bytes follow it, one after the other in this order. */
export const PicturePack = Type.Array(
  Type.Object(
    {
      digest: Digest,
      sizeBytes: Type.Integer({ minimum: 1, maximum: samplePictureBytesMax }),
      width: DatasetSample.properties.width,
      height: DatasetSample.properties.height,
      /** Left out for a mask, which is no sample of its own. */
      form: Type.Optional(Type.Enum(pictureForms)),
    },
    closed,
  ),
  { minItems: 1, maxItems: samplesBatchMax },
)
export type PicturePack = Static<typeof PicturePack>

/** Bytes of one pack with its head; a picture that is larger than the rest allows comes alone. */
export const picturePackBytesMax = samplePictureBytesMax + 1024 * 1024
/** Bytes that a pack is filled up to. */
export const picturePackBytes = 4 * 1024 * 1024

/** What was said of a sample before. */
export const AnnotationRevision = Type.Object({
  revision: Type.Integer({ minimum: 1 }),
  annotations: SampleAnnotations,
  by: Type.String(),
  at: Timestamp,
})
export type AnnotationRevision = Static<typeof AnnotationRevision>

export const splitNames = ['train', 'validation', 'test'] as const
export type SplitName = (typeof splitNames)[number]

/** How a frozen list is split. Samples that show the same are never on two sides. */
export const SplitRequest = Type.Object(
  {
    /** Share (0..1) of samples kept for the test, or `last:N` in their order. */
    holdout: Type.Optional(
      Type.Union([
        Type.Number({ minimum: 0.01, maximum: 0.9 }),
        Type.String({ pattern: '^last:[1-9][0-9]{0,6}$', maxLength: 12 }),
      ]),
    ),
    /** Share (0..1) of what is not the test that chooses among checkpoints. */
    validation: Type.Optional(Type.Number({ minimum: 0, maximum: 0.9 })),
    /** What stays together: nothing but what shows the same, all of a stream, or what was seen in one stretch of time. */
    by: Type.Optional(
      Type.Union([Type.Literal('sample'), Type.Literal('stream'), Type.Literal('time')]),
    ),
    /** Every label has its share on each side. */
    stratify: Type.Optional(Type.Boolean()),
    /** Cross-validation with so many parts, instead of one test set. */
    folds: Type.Optional(Type.Integer({ minimum: 2, maximum: 20 })),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
    /**
     * An earlier version of the same dataset: what was on a side there stays on it, and only what is new since is dealt, so
     * that what was a test once is never learned from; each stream gives its own share to each side. 0: nothing was before. Not
     * with folds, nor with `last:N`.
     */
    after: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
  },
  { $id: 'SplitRequest', ...closed },
)
export type SplitRequest = Static<typeof SplitRequest>

/** How many samples are on each side; those too close to another side are on none. */
export const SplitCounts = Type.Object({
  train: Type.Integer({ minimum: 0 }),
  validation: Type.Integer({ minimum: 0 }),
  test: Type.Integer({ minimum: 0 }),
  leftOut: Type.Integer({ minimum: 0 }),
})
export type SplitCounts = Static<typeof SplitCounts>

/** A dataset as it was frozen: never another again. */
export const DatasetVersion = Type.Object(
  {
    dataset: DatasetName,
    version: DatasetVersionNumber,
    /** Of the frozen list: names samples, annotations and labels. */
    digest: Digest,
    labels: Type.Array(Label),
    samples: Type.Integer({ minimum: 1 }),
    /** What was asked, and what came of it: one split, or one for each fold. */
    split: SplitRequest,
    folds: Type.Array(SplitCounts, { minItems: 1 }),
    note: Type.String(),
    /** Of the dataset, when it was frozen. */
    revision: Type.Integer(),
    by: Type.String(),
    createdAt: Timestamp,
  },
  { $id: 'DatasetVersion' },
)
export type DatasetVersion = Static<typeof DatasetVersion>

export const FreezeRequest = Type.Object(
  { split: SplitRequest, note: Type.Optional(Type.String({ maxLength: 500 })) },
  { $id: 'FreezeRequest', ...closed },
)
export type FreezeRequest = Static<typeof FreezeRequest>

/** Formats of datasets in and out; `frozen` is our own. */
export const datasetFormats = [
  'coco',
  'yolo',
  'voc',
  'cvat',
  'label-studio',
  'folders',
  'masks',
  'idx',
  'frozen',
] as const
export type DatasetFormat = (typeof datasetFormats)[number]

export const ImportRequest = Type.Object(
  {
    /** A whole upload: a zip or a tar, compressed or not. */
    uploadId: UploadId,
    /** Left out: looked for. */
    format: Type.Optional(Type.Enum(datasetFormats)),
  },
  { $id: 'ImportRequest', ...closed },
)
export type ImportRequest = Static<typeof ImportRequest>

/** What came of events that were put into a dataset: their pictures, each once. */
export const EventSamplesPut = Type.Object(
  {
    added: Type.Integer({ minimum: 0 }),
    /** Pictures that were in it before; what is said of them is as it was. */
    already: Type.Integer({ minimum: 0 }),
  },
  { $id: 'EventSamplesPut' },
)
export type EventSamplesPut = Static<typeof EventSamplesPut>

/** Pictures of one preview of an augmentation. */
export const augmentationPictures = { min: 1, max: 16, default: 8 } as const

/** Pictures as a run would feed them, with what is to be seen in each. */
export const AugmentationPreview = Type.Object(
  {
    pictures: Type.Array(
      Type.Object({
        /** In base64. */
        jpeg: Type.String(),
        width: Type.Integer({ minimum: 1 }),
        height: Type.Integer({ minimum: 1 }),
        annotations: SampleAnnotations,
        /** The first sample that is in it. */
        digest: Digest,
        name: Type.String(),
      }),
      { maxItems: augmentationPictures.max },
    ),
  },
  { $id: 'AugmentationPreview' },
)
export type AugmentationPreview = Static<typeof AugmentationPreview>

/** What is asked of the samples of a dataset, or of one of its versions. */
export const SampleQuery = Type.Object(
  {
    /** A frozen version; what is in the dataset now where left out. */
    version: Type.Optional(DatasetVersionNumber),
    label: Type.Optional(Label),
    /** `yes` for samples that anything is said of. */
    annotated: Type.Optional(Type.Union([Type.Literal('yes'), Type.Literal('no')])),
    site: Type.Optional(SiteId),
    stream: Type.Optional(StreamId),
    /** What the last inspection found. */
    problem: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    /** Of a version only. */
    split: Type.Optional(Type.Enum(splitNames)),
    /** Which of its folds `split` is of, from 0. */
    fold: Type.Optional(Type.Integer({ minimum: 0, maximum: 19 })),
    /** The cursor of the next page. */
    after: Type.Optional(Type.Integer({ minimum: 0 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 100 })),
  },
  closed,
)
export type SampleQuery = Static<typeof SampleQuery>

/** A sample as lists show it. */
export const SampleShown = Type.Object(
  {
    ...DatasetSample.properties,
    /** Of a version: which side it is on; absent for what is on none. */
    split: Type.Optional(Type.Enum(splitNames)),
    /** Kinds of problems that the last inspection found in it. */
    problems: Type.Array(Type.String()),
  },
  { $id: 'SampleShown' },
)
export type SampleShown = Static<typeof SampleShown>

/** In the order in which they came. `next` is the `after` of the next page, or null at the end. */
export const SamplePage = Type.Object(
  {
    samples: Type.Array(SampleShown),
    /** All that fit the query, on every page together. */
    total: Type.Integer(),
    next: Type.Union([Type.Integer(), Type.Null()]),
  },
  { $id: 'SamplePage' },
)
export type SamplePage = Static<typeof SamplePage>

/** One sample with what is and was said of it. */
export const SampleDetail = Type.Object(
  {
    sample: SampleShown,
    revision: Type.Integer({ minimum: 1 }),
    by: Type.String(),
    at: Timestamp,
    /** Newest first. */
    earlier: Type.Array(AnnotationRevision),
    /** Other datasets that it is in. */
    alsoIn: Type.Array(DatasetName),
  },
  { $id: 'SampleDetail' },
)
export type SampleDetail = Static<typeof SampleDetail>

/** Problems that are listed word by word, of each kind. */
export const problemsListedMax = 200
/** Groups of near copies that are shown. */
export const copiesShownMax = 200

/** What is odd about a dataset, as it was when somebody looked. */
export const DatasetInspection = Type.Object(
  {
    /** Of the dataset, when it was looked at: another now means that it has changed since. */
    revision: Type.Integer({ minimum: 0 }),
    at: Timestamp,
    problems: Type.Array(Type.Object({ kind: Type.String(), count: Type.Integer({ minimum: 1 }) })),
    /** The first of each kind, with the sample where it is about one. */
    listed: Type.Array(
      Type.Object({
        kind: Type.String(),
        name: Type.String(),
        digest: Type.Union([Digest, Type.Null()]),
        text: Type.String(),
      }),
    ),
    /** Samples that show nearly the same, at least two each: they never are on two sides of a split. */
    copies: Type.Array(Type.Array(Digest)),
    copiesTotal: Type.Integer({ minimum: 0 }),
    /** False where there were too many pictures to compare them all. */
    complete: Type.Boolean(),
  },
  { $id: 'DatasetInspection' },
)
export type DatasetInspection = Static<typeof DatasetInspection>
