/** Routes of what boxes trust: keys, signed documents and bundles that are carried by hand. */
import { Type } from 'typebox'
import type { Route } from './route.ts'
import {
  BundleImport,
  BundleRequest,
  BundleTaken,
  OnlineTrustRole,
  TrustDocument,
  TrustFileName,
  TrustKey,
  TrustRootChange,
  TrustShown,
  trustDocumentBytesMax,
} from './trust.ts'

const closed = { additionalProperties: false } as const

export const trustRoutes = {
  trustShow: {
    method: 'GET',
    path: '/api/trust',
    access: 'viewer',
    summary: 'Says who signs models for boxes, until when, and what waits for a signature',
    response: TrustShown,
  },
  trustFile: {
    method: 'GET',
    path: '/api/trust/:file',
    access: 'viewer',
    summary: 'Gives a file of the trust repository, as boxes get it',
    params: Type.Object({ file: TrustFileName }, closed),
    produces: 'application/json',
  },
  trustStaged: {
    method: 'GET',
    path: '/api/trust/staged',
    access: 'admin',
    summary: 'Gives targets with all that waits, to be signed where the targets key is',
    response: TrustDocument,
  },
  trustTargets: {
    method: 'POST',
    path: '/api/trust/targets',
    access: 'admin',
    summary: 'Takes targets that were signed elsewhere',
    body: TrustDocument,
    bytesMax: trustDocumentBytesMax,
    status: 204,
  },
  trustKeyMake: {
    method: 'POST',
    path: '/api/trust/keys',
    access: 'admin',
    summary: 'Makes a key that the next root may name; its private half stays at the hub',
    body: Type.Object({ role: OnlineTrustRole }, closed),
    response: TrustKey,
    status: 201,
  },
  trustRoot: {
    method: 'POST',
    path: '/api/trust/root',
    access: 'admin',
    summary: 'Takes the next root, signed by the keys of the one before and of its own',
    body: TrustRootChange,
    bytesMax: 2 * trustDocumentBytesMax,
    status: 204,
  },
  bundleMake: {
    method: 'POST',
    path: '/api/bundle',
    access: 'operator',
    summary:
      'Gives published versions with everything that is signed about them as one file, for boxes and hubs that cannot reach this one',
    body: BundleRequest,
    produces: 'application/x-tar',
  },
  bundleTake: {
    method: 'POST',
    path: '/api/bundle/import',
    access: 'admin',
    summary: 'Takes an uploaded bundle of a hub with the same root: its models, published',
    body: BundleImport,
    response: BundleTaken,
    status: 201,
  },
} as const satisfies Record<string, Route>
