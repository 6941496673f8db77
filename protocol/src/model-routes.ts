/** Routes of models: uploads, versions, compiling and publishing. */
import { Type } from 'typebox'
import { datasetArchiveBytesMax } from './datasets.ts'
import { Job, JobId } from './jobs.ts'
import {
  CompileRequest,
  CompilerShown,
  ModelName,
  ModelRequest,
  ModelRow,
  ModelVersion,
  ModelVersionDetail,
  ModelVersionNumber,
  Upload,
  UploadId,
  uploadPartBytesMax,
} from './models.ts'
import { Published, PublishRequest } from './publishing.ts'
import type { Route } from './route.ts'

const closed = { additionalProperties: false } as const

const modelVersion = Type.Object({ name: ModelName, version: ModelVersionNumber }, closed)
const artifact = Type.Object({ artifactId: JobId }, closed)

export const modelRoutes = {
  uploadBegin: {
    method: 'POST',
    path: '/api/uploads',
    access: 'operator',
    summary: 'Begins to take a file in parts; what is not used within an hour is dropped',
    body: Type.Object(
      { sizeBytes: Type.Integer({ minimum: 1, maximum: datasetArchiveBytesMax }) },
      closed,
    ),
    response: Upload,
    status: 201,
    unaudited: true,
  },
  uploadPart: {
    method: 'PUT',
    path: '/api/uploads/:uploadId/:offset',
    access: 'operator',
    summary: 'Takes the part of a file that begins at `offset`, which is where the last one ended',
    params: Type.Object(
      { uploadId: UploadId, offset: Type.Integer({ minimum: 0, maximum: datasetArchiveBytesMax }) },
      closed,
    ),
    consumes: 'application/octet-stream',
    bytesMax: uploadPartBytesMax,
    response: Upload,
    unaudited: true,
  },
  compilerShow: {
    method: 'GET',
    path: '/api/compiler',
    access: 'viewer',
    summary: "Says what this hub's compiler takes and makes",
    response: CompilerShown,
  },
  modelList: {
    method: 'GET',
    path: '/api/models',
    access: 'viewer',
    summary: 'Lists models, each with its newest version',
    response: Type.Array(ModelRow),
  },
  modelAdd: {
    method: 'POST',
    path: '/api/models',
    access: 'operator',
    summary: 'Looks into an uploaded ONNX file and keeps it as the next version of a name',
    body: ModelRequest,
    response: ModelVersion,
    status: 201,
  },
  modelShow: {
    method: 'GET',
    path: '/api/models/:name/:version',
    access: 'viewer',
    summary: 'Shows one version of a model with what was compiled of it',
    params: modelVersion,
    response: ModelVersionDetail,
  },
  modelRemove: {
    method: 'DELETE',
    path: '/api/models/:name/:version',
    access: 'admin',
    summary: 'Removes a version of a model with everything that was compiled of it',
    params: modelVersion,
    status: 204,
  },
  modelVersionList: {
    method: 'GET',
    path: '/api/models/:name',
    access: 'viewer',
    summary: 'Lists all versions of a model, newest first',
    params: Type.Object({ name: ModelName }, closed),
    response: Type.Array(ModelVersion),
  },
  modelPromote: {
    method: 'POST',
    path: '/api/models/:name/:version/promote',
    access: 'operator',
    summary: 'Makes a version the champion: what later versions are compared with',
    params: modelVersion,
    response: ModelVersion,
  },
  modelDemote: {
    method: 'POST',
    path: '/api/models/:name/:version/demote',
    access: 'operator',
    summary: 'Takes the place of the champion from a version; nobody has it then',
    params: modelVersion,
    response: ModelVersion,
  },
  modelFile: {
    method: 'GET',
    path: '/api/models/:name/:version/file',
    access: 'viewer',
    summary: 'Gives the ONNX file as it was uploaded',
    params: modelVersion,
    produces: 'application/octet-stream',
  },
  modelCompile: {
    method: 'POST',
    path: '/api/models/:name/:version/compile',
    access: 'operator',
    summary: 'Queues the compilation of a model for a target',
    params: modelVersion,
    body: CompileRequest,
    response: Job,
    status: 201,
  },
  modelPublish: {
    method: 'POST',
    path: '/api/models/:name/:version/publish',
    access: 'operator',
    summary:
      'Queues the publication of a model version: manifests, deltas and signatures for boxes',
    params: modelVersion,
    body: PublishRequest,
    response: Job,
    status: 201,
  },
  modelPublished: {
    method: 'GET',
    path: '/api/models/:name/:version/published',
    access: 'viewer',
    summary: 'Lists what boxes may be offered of a version, per kind of box',
    params: modelVersion,
    response: Type.Array(Published),
  },
  modelPublishedList: {
    method: 'GET',
    path: '/api/models/:name/published',
    access: 'viewer',
    summary: 'Lists what boxes may be offered of all versions of a model, newest first',
    params: Type.Object({ name: ModelName }, closed),
    response: Type.Array(Published),
  },
  artifactFile: {
    method: 'GET',
    path: '/api/artifacts/:artifactId/file',
    access: 'viewer',
    summary: 'Gives the compiled ONNX file',
    params: artifact,
    produces: 'application/octet-stream',
  },
  artifactManifest: {
    method: 'GET',
    path: '/api/artifacts/:artifactId/manifest',
    access: 'viewer',
    summary: 'Gives the manifest of a compiled model',
    params: artifact,
    produces: 'application/json',
  },
  artifactReport: {
    method: 'GET',
    path: '/api/artifacts/:artifactId/report',
    access: 'viewer',
    summary: 'Gives the report of a compilation as a page without scripts',
    params: artifact,
    produces: 'text/html; charset=utf-8',
  },
} as const satisfies Record<string, Route>
