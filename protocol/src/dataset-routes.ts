/** Routes of datasets: pictures, annotations, import, versions and export. */
import { Type } from 'typebox'
import {
  AugmentationPreview,
  augmentationPictures,
  DatasetDetail,
  DatasetEdit,
  DatasetInspection,
  DatasetName,
  DatasetRequest,
  DatasetRow,
  DatasetSample,
  DatasetVersion,
  DatasetVersionNumber,
  datasetFormats,
  EventSamplesPut,
  FreezeRequest,
  ImportRequest,
  picturePackBytesMax,
  SampleDetail,
  SamplePage,
  SampleQuery,
  samplesBatchMax,
} from './datasets.ts'
import { markedEventsMax } from './event-routes.ts'
import { Job } from './jobs.ts'
import { Digest } from './names.ts'
import type { Route } from './route.ts'

const closed = { additionalProperties: false } as const

const dataset = Type.Object({ dataset: DatasetName }, closed)
const datasetVersion = Type.Object({ dataset: DatasetName, version: DatasetVersionNumber }, closed)
const samplePath = Type.Object({ digest: Digest }, closed)
const digests = Type.Array(Digest, { minItems: 1, maxItems: samplesBatchMax })

export const datasetRoutes = {
  sampleMissing: {
    method: 'POST',
    path: '/api/samples/missing',
    access: 'operator',
    summary: 'Says which of some pictures are not here, and have to be sent',
    body: Type.Object({ digests }, closed),
    response: Type.Object({ missing: Type.Array(Digest) }),
    unaudited: true,
  },
  samplePack: {
    method: 'POST',
    path: '/api/samples',
    access: 'operator',
    summary:
      'Takes pictures: the length of a head (4 bytes, big endian), the head (PicturePack as JSON), then their bytes',
    consumes: 'application/octet-stream',
    bytesMax: picturePackBytesMax,
    response: Type.Object({ stored: Type.Integer() }),
    unaudited: true,
  },
  samplePicture: {
    method: 'GET',
    path: '/api/samples/:digest/picture',
    access: 'viewer',
    summary: 'Gives the picture of a sample',
    params: samplePath,
    produces: 'image/*',
  },
  sampleThumbnail: {
    method: 'GET',
    path: '/api/samples/:digest/thumbnail',
    access: 'viewer',
    summary: 'Gives a small picture of a sample, or the whole one where none was made',
    params: samplePath,
    produces: 'image/*',
  },
  datasetList: {
    method: 'GET',
    path: '/api/datasets',
    access: 'viewer',
    summary: 'Lists datasets, the last changed first',
    response: Type.Array(DatasetRow),
  },
  datasetAdd: {
    method: 'POST',
    path: '/api/datasets',
    access: 'operator',
    summary: 'Adds an empty dataset',
    body: DatasetRequest,
    response: DatasetRow,
    status: 201,
  },
  datasetShow: {
    method: 'GET',
    path: '/api/datasets/:dataset',
    access: 'viewer',
    summary: 'Shows a dataset with what is in it, counted',
    params: dataset,
    response: DatasetDetail,
  },
  datasetEdit: {
    method: 'PUT',
    path: '/api/datasets/:dataset',
    access: 'operator',
    summary: 'Describes a dataset, or adds labels to it',
    params: dataset,
    body: DatasetEdit,
    response: DatasetRow,
  },
  datasetRemove: {
    method: 'DELETE',
    path: '/api/datasets/:dataset',
    access: 'admin',
    summary: 'Removes a dataset with all its versions',
    params: dataset,
    status: 204,
  },
  datasetSampleList: {
    method: 'GET',
    path: '/api/datasets/:dataset/samples',
    access: 'viewer',
    summary:
      'Lists samples of a dataset, or of one of its versions, in the order in which they came',
    params: dataset,
    query: SampleQuery,
    response: SamplePage,
  },
  datasetSamplePut: {
    method: 'PUT',
    path: '/api/datasets/:dataset/samples',
    access: 'operator',
    summary: 'Puts samples into a dataset, or changes what is said of them; all or none',
    params: dataset,
    body: Type.Object(
      { samples: Type.Array(DatasetSample, { minItems: 1, maxItems: samplesBatchMax }) },
      closed,
    ),
    bytesMax: 16 * 1024 * 1024,
    response: Type.Object({
      added: Type.Integer(),
      changed: Type.Integer(),
      unchanged: Type.Integer(),
    }),
  },
  datasetSampleRemove: {
    method: 'POST',
    path: '/api/datasets/:dataset/samples/remove',
    access: 'operator',
    summary: 'Takes samples out of a dataset; its versions keep them',
    params: dataset,
    body: Type.Object({ digests }, closed),
    response: Type.Object({ removed: Type.Integer() }),
  },
  datasetSampleShow: {
    method: 'GET',
    path: '/api/datasets/:dataset/samples/:digest',
    access: 'viewer',
    summary: 'Shows a sample of a dataset with what is and was said of it',
    params: Type.Object({ dataset: DatasetName, digest: Digest }, closed),
    response: SampleDetail,
  },
  datasetEventPut: {
    method: 'POST',
    path: '/api/datasets/:dataset/events',
    access: 'operator',
    summary: 'Puts the pictures of events into a dataset, with the boxes that the events speak of',
    params: dataset,
    body: Type.Object(
      {
        eventIds: Type.Array(Type.Integer({ minimum: 1 }), {
          minItems: 1,
          maxItems: markedEventsMax,
        }),
      },
      closed,
    ),
    response: EventSamplesPut,
  },
  datasetAugmentation: {
    method: 'GET',
    path: '/api/datasets/:dataset/augmentation',
    access: 'viewer',
    summary: 'Shows what an augmentation makes of a few samples of a dataset',
    params: dataset,
    query: Type.Object(
      {
        count: Type.Optional(
          Type.Integer({
            minimum: augmentationPictures.min,
            maximum: augmentationPictures.max,
            default: augmentationPictures.default,
          }),
        ),
        seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
        /** Keys of `augment` in a recipe, as JSON. */
        augment: Type.Optional(Type.String({ maxLength: 2000 })),
      },
      closed,
    ),
    response: AugmentationPreview,
  },
  datasetImport: {
    method: 'POST',
    path: '/api/datasets/:dataset/import',
    access: 'operator',
    summary: 'Queues the import of an uploaded archive (zip, tar) of pictures and labels',
    params: dataset,
    body: ImportRequest,
    response: Job,
    status: 201,
  },
  datasetInspection: {
    method: 'GET',
    path: '/api/datasets/:dataset/inspection',
    access: 'viewer',
    summary: 'Gives what the last inspection of a dataset found; null before the first',
    params: dataset,
    response: Type.Union([DatasetInspection, Type.Null()]),
  },
  datasetInspect: {
    method: 'POST',
    path: '/api/datasets/:dataset/inspection',
    access: 'operator',
    summary: 'Queues a look at every picture of a dataset: broken ones, odd boxes, near copies',
    params: dataset,
    response: Job,
    status: 201,
  },
  datasetVersionList: {
    method: 'GET',
    path: '/api/datasets/:dataset/versions',
    access: 'viewer',
    summary: 'Lists the frozen versions of a dataset, newest first',
    params: dataset,
    response: Type.Array(DatasetVersion),
  },
  datasetFreeze: {
    method: 'POST',
    path: '/api/datasets/:dataset/versions',
    access: 'operator',
    summary: 'Queues the freezing of what is in a dataset now, with its split',
    params: dataset,
    body: FreezeRequest,
    response: Job,
    status: 201,
  },
  datasetExport: {
    method: 'GET',
    path: '/api/datasets/:dataset/versions/:version/export',
    access: 'viewer',
    summary: 'Gives a frozen version as a tar in one of the formats of datasets',
    params: datasetVersion,
    query: Type.Object({ format: Type.Optional(Type.Enum(datasetFormats)) }, closed),
    produces: 'application/x-tar',
  },
  datasetVersionShow: {
    method: 'GET',
    path: '/api/datasets/:dataset/versions/:version',
    access: 'viewer',
    summary: 'Shows a frozen version of a dataset',
    params: datasetVersion,
    response: DatasetVersion,
  },
} as const satisfies Record<string, Route>
