/** What of a bundle may be used: the chain of trust in it holds from a root that is known, and manifests are as signed. */
import { type Manifest, manifestBytesMax, manifestPath } from '@edgeloop/protocol'
import { ArtifactError } from '../artifact-error.ts'
import { digestOf } from '../bounds.ts'
import { readManifest } from '../manifest.ts'
import { keepRoot, refreshTrust, takeBytes } from '../trust/client.ts'
import type { TrustedTargets, TrustFiles } from '../trust/trust.ts'
import type { Bundle } from './bundle.ts'

export type BundledManifest = {
  readonly path: string
  /** As they were signed. */
  readonly bytes: Uint8Array
  readonly manifest: Manifest
}

/**
 * Checks the trust of a bundle, and reads its manifests. Encodings are checked by whoever reads them, with the digests that
 * stand in the manifests.
 * @param given.root any version of the root that is trusted; those that follow it are in the bundle
 * @param given.now milliseconds
 * @throws {TrustError} when it is not signed by what `root` trusts, or has expired
 * @throws {ArtifactError} damaged, when a manifest or an encoding is not there or is not what was signed
 */
export async function verifyBundle(
  bundle: Bundle,
  given: { readonly root: Uint8Array; readonly now: number; readonly signal: AbortSignal },
): Promise<{ readonly trusted: TrustedTargets; readonly manifests: readonly BundledManifest[] }> {
  const files = memoryFiles()
  await keepRoot(files, given.root)
  return await verifyCarried(bundle, { ...given, files })
}

/**
 * The same for a box, which has seen more than a root: what is older than that is refused.
 * @param given.files what the box trusts; nothing is written there, so that looking changes nothing
 * @throws as {@link verifyBundle}
 */
export async function verifyCarried(
  bundle: Bundle,
  given: { readonly files: TrustFiles; readonly now: number; readonly signal: AbortSignal },
): Promise<{ readonly trusted: TrustedTargets; readonly manifests: readonly BundledManifest[] }> {
  const files = memoryFiles(given.files)
  const { now, signal } = given
  const trusted = await refreshTrust({ files, source: bundle.trust, now, signal, bundle: true })
  return { trusted, manifests: await signedManifests(bundle, trusted) }
}

/**
 * The manifests in a bundle that are signed.
 * @throws {ArtifactError} damaged, when one of them or an encoding is not there or is not what was signed
 */
export async function signedManifests(
  bundle: Bundle,
  trusted: TrustedTargets,
): Promise<readonly BundledManifest[]> {
  const manifests: BundledManifest[] = []
  for (const path of trusted.paths()) {
    const target = trusted.find(path)
    // A bundle holds some of what is signed.
    if (!target || !bundle.digests.has(target.digest)) continue
    const { digest, lengthBytes } = target
    if (bundle.lengthOf(digest) !== lengthBytes || lengthBytes > manifestBytesMax) {
      throw damaged(`"${path}" has another length than was signed`)
    }
    const bytes = await takeBytes(bundle.open(digest), lengthBytes, path)
    if (digestOf(bytes) !== digest) throw damaged(`"${path}" is not what was signed`)
    const manifest = readManifest(bytes)
    if (!path.startsWith(manifestPath(manifest.name, manifest.version, '').replace('.json', ''))) {
      throw damaged(`"${path}" is signed for another model`)
    }
    for (const encoding of manifest.encodings) {
      if (bundle.lengthOf(encoding.digest) === encoding.lengthBytes) continue
      throw damaged(`the encoding ${encoding.digest} of "${path}" is not there whole`)
    }
    manifests.push({ path, bytes, manifest })
  }
  return manifests
}

const damaged = (why: string): ArtifactError =>
  new ArtifactError('damaged', `Cannot use the bundle: ${why}`)

/** @param beneath what is there at first, and stays as it is */
function memoryFiles(beneath?: TrustFiles): TrustFiles {
  const kept = new Map<string, Uint8Array>()
  return {
    read: async (name) => kept.get(name) ?? (await beneath?.read(name)),
    write: async (name, bytes) => void kept.set(name, bytes),
  }
}
