/**
 * The door `@edgeloop/model-compiler/artifact`: what travels between hub and boxes. Bytes in, bytes out; no file system, no network,
 * and nothing of graphs, runtimes or pictures behind it (artifact.test.ts walks the imports), so that an agent stays light.
 */
export { ArtifactError, type ArtifactErrorCode } from './artifact-error.ts'
export { type Bounds, digestOf } from './bounds.ts'
export {
  type Bundle,
  type BundleBytes,
  type BundlePart,
  readBundle,
  writeBundle,
} from './bundle/bundle.ts'
export {
  type BundledManifest,
  signedManifests,
  verifyBundle,
  verifyCarried,
} from './bundle/verified-bundle.ts'
export { applyDelta, type DeltaHead, makeDelta, readDeltaHead } from './delta/delta.ts'
export { type DeltaStat, statDelta } from './delta/stat.ts'
export type { ToldPayload } from './delta/tensors.ts'
export { decode, type EncodedBytes, encodings } from './encodings.ts'
export { checkModelFile, type GatedModel, gateLimits } from './gate.ts'
export {
  compareGolden,
  type GivenTensor,
  type GoldenComparison,
  type GoldenTensor,
  goldenDifference,
  goldenInputs,
  goldenOutput,
} from './golden.ts'
export { readManifest } from './manifest.ts'
export {
  checkNextRoot,
  fleetField,
  keepRoot,
  type RefreshOrder,
  refreshTrust,
  takeBytes,
  takeFirstRoot,
} from './trust/client.ts'
export {
  keyIdOf,
  makeKey,
  type PublicKey,
  readKey,
  type SigningKey,
} from './trust/keys.ts'
export {
  bytesMax as trustBytesMax,
  type Document,
  ownField,
  type RoleName,
  readDocument,
  roleNames,
} from './trust/metadata.ts'
export {
  makeRoot,
  makeSnapshot,
  makeTargets,
  makeTimestamp,
  nextRoot,
  type RoleKeys,
  type RootKeys,
  readRoots,
  readSigned,
  rolesOf,
  signDocument,
  type TargetEntry,
  targetsOf,
} from './trust/repository.ts'
export {
  TrustError,
  type TrustErrorCode,
  type TrustedTargets,
  type TrustFiles,
  type TrustSource,
} from './trust/trust.ts'
