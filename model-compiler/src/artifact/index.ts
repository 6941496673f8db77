/**
 * The door `@edgeloop/model-compiler/artifact`: what travels between hub and boxes. Bytes in, bytes out; no file system, no network,
 * and nothing of graphs, runtimes or pictures behind it (artifact.test.ts walks the imports), so that an agent stays light.
 */
export { ArtifactError, type ArtifactErrorCode } from './artifact-error.ts'
export { type Bounds, digestOf } from './bounds.ts'
export { decode, type EncodedBytes, encodings } from './encodings.ts'
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
  TrustError,
  type TrustErrorCode,
  type TrustedTargets,
  type TrustFiles,
  type TrustSource,
} from './trust/trust.ts'
