/**
 * Models that somebody carries to a box that reaches no hub: a bundle in `carried/` of the folder of updates. The file `order`
 * beside it says which bundle counts and how carefully its models are looked at; it is replaced in one step, after the bundle is
 * on the disk. From there on the box takes them up as it takes up what a hub offers: the same plan, the same checks, the same
 * floors, with the bundle in place of the hub. When all of it has come to an end, well or not, both files are removed.
 */
import { randomUUID } from 'node:crypto'
import {
  type Bundle,
  type BundleBytes,
  type BundledManifest,
  digestOf,
  readBundle,
  signedManifests,
  type TrustedTargets,
  verifyCarried,
} from '@edgeloop/model-compiler/artifact'
import { type Manifest, type Offer, RolloutId, UpdateCare } from '@edgeloop/protocol'
import { fits, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { anyTarget, type Box, manifestRefusal, pathRefusal } from './acceptance.ts'
import { type BoxTrust, openBoxTrust, trustFilesOn } from './box-trust.ts'
import { type ModelRecord, readRecord } from './model-record.ts'
import { freeBytesMin, type Supply } from './model-updates.ts'
import { activeContent } from './plan.ts'
import { replaceFile, type UpdateDisk } from './update-disk.ts'

const folder = 'carried'
const orderFile = `${folder}/order`
const bundleFile = (rolloutId: string): string => `${folder}/${rolloutId}.bundle`
/** As many as a hub offers at a time; of more, those that come first by their names. */
const offersMax = 8
const pieceBytes = 1024 * 1024

const CarriedOrder = Type.Object(
  {
    spec: Type.Literal('edgeloop-carried/1'),
    /** Of the passages that come of it: no hub has a rollout of this id. */
    rolloutId: RolloutId,
    care: UpdateCare,
  },
  { additionalProperties: false },
)
type CarriedOrder = Static<typeof CarriedOrder>

/** What becomes of one model of a bundle on this box. */
export type CarriedModel = {
  readonly name: string
  readonly version: number
  /** Of the model's file. */
  readonly digest: string
  /** Why the box does not take it up; empty where it does. */
  readonly refused: string
}

/**
 * Looks into a bundle as the box will, and puts it where the box finds it; it takes the place of one that was there.
 * Floors and everything else that the box trusts stay as they are until it takes the models up itself.
 * @param given.now milliseconds
 * @returns every model of it, one version each; where none is taken up, nothing was put anywhere
 * @throws {TrustError} when it is not signed by what the box trusts, has expired, or is older than what the box has seen
 * @throws {ArtifactError} damaged
 * @throws {Error} with code `ENOSPC` where there is no room; then the box has what it had
 */
export async function carryIn(given: {
  readonly disk: UpdateDisk
  readonly box: Box
  readonly bytes: BundleBytes
  readonly care: UpdateCare
  readonly now: number
  readonly signal: AbortSignal
}): Promise<readonly CarriedModel[]> {
  const { disk, box, bytes, care, now, signal } = given
  const bundle = await readBundle(bytes)
  const files = trustFilesOn(disk)
  const { trusted, manifests } = await verifyCarried(bundle, { files, now, signal })
  const models: CarriedModel[] = []
  const chosen = bestOf(manifests, trusted, box, now)
  for (const { one, refused } of chosen) {
    const { name, version, file } = one.manifest
    const why = refused || speaksAgainst(await readRecord(disk, name), one.manifest)
    models.push({ name, version, digest: file.digest, refused: why })
    if (why === '') await checkEncodings(bundle, one, signal)
  }
  if (models.every(({ refused }) => refused !== '')) return models
  const freeBytes = await disk.freeBytes()
  const neededBytes = bytes.lengthBytes + freeBytesMin
  if (freeBytes < neededBytes) {
    const text = `Cannot take the bundle: ${freeBytes} bytes of the disk are free, and it needs ${neededBytes} with what is left for everything else`
    throw Object.assign(new Error(text), { code: 'ENOSPC' })
  }
  const order: CarriedOrder = { spec: 'edgeloop-carried/1', rolloutId: randomUUID(), care }
  await putBundle(disk, bytes, order, signal)
  return models
}

/** What the box has already, and what is too old for it, it does not take up. */
function speaksAgainst(
  record: ModelRecord | 'damaged' | undefined,
  { version, file }: Manifest,
): string {
  if (!record || record === 'damaged') return ''
  const content = activeContent(record)
  if (content?.committed && content.digest === file.digest) return 'it runs here already'
  if (version >= record.floor) return ''
  return `version ${record.floor} has run here, and no older one is taken up`
}

async function checkEncodings(
  bundle: Bundle,
  { path, manifest }: BundledManifest,
  signal: AbortSignal,
): Promise<void> {
  for (const { digest } of manifest.encodings) {
    const parts: Uint8Array[] = []
    for await (const part of bundle.open(digest)) {
      signal.throwIfAborted()
      parts.push(part)
    }
    if (digestOf(Buffer.concat(parts)) === digest) continue
    throw new Error(`Cannot take the bundle: the encoding ${digest} of "${path}" is damaged`)
  }
}

async function putBundle(
  disk: UpdateDisk,
  { lengthBytes, read }: BundleBytes,
  order: CarriedOrder,
  signal: AbortSignal,
): Promise<void> {
  const file = bundleFile(order.rolloutId)
  await disk.makeFolder(folder)
  try {
    for (let at = 0; at < lengthBytes; at += pieceBytes) {
      signal.throwIfAborted()
      await disk.write(file, await read(at, Math.min(pieceBytes, lengthBytes - at)), at)
    }
    await disk.sync(file)
    await disk.syncFolder(folder)
    await replaceFile(disk, orderFile, Buffer.from(JSON.stringify(order)))
  } catch (error) {
    await disk.remove(file).catch(() => {})
    throw error
  }
  await removeBut(disk, order.rolloutId)
}

/** Bundles that no order names are worth nothing. */
async function removeBut(disk: UpdateDisk, rolloutId: string | undefined): Promise<void> {
  for (const name of await disk.list(folder)) {
    const path = `${folder}/${name}`
    const isKept = rolloutId !== undefined && path === bundleFile(rolloutId)
    if (!isKept && path !== orderFile) await disk.remove(path)
  }
}

/**
 * Takes away what was carried; the order goes last, so that nothing stays that it does not name.
 * @throws {Error} where the disk does not do it
 */
export async function dropCarried(disk: UpdateDisk): Promise<void> {
  await removeBut(disk, undefined)
  await disk.syncFolder(folder)
  await disk.remove(orderFile)
  await disk.syncFolder(folder)
}

/** Removes what a power cut has left of a bundle; at the start of the agent, when nobody is likely to bring one. */
export async function tidyCarried(disk: UpdateDisk): Promise<void> {
  if ((await disk.list(folder)).length > 0) await removeBut(disk, await carriedId(disk))
}

/** A bundle that lies here, and what the box makes of it. */
export type Carried = {
  readonly rolloutId: string
  readonly offers: readonly Offer[]
  readonly supply: Supply
}

/** Id of what was carried here, or undefined where nothing was. @throws {Error} where that cannot be read */
export async function carriedId(disk: UpdateDisk): Promise<string | undefined> {
  return (await readOrder(disk))?.rolloutId
}

async function readOrder(disk: UpdateDisk): Promise<CarriedOrder | undefined> {
  const bytes = await disk.read(orderFile)
  if (!bytes) return undefined
  const value = parseJson(Buffer.from(bytes), 'the order of a bundle')
  if (!fits(CarriedOrder, value)) throw new Error('Cannot read the order of a bundle')
  return value
}

/**
 * Opens what was carried here. Nothing of it is believed because it lies here: the chain of trust is checked anew, and what was
 * seen of it is kept (floors).
 * @param given.now milliseconds: the clock
 * @param given.exclusively runs acts on what is trusted one after the other
 * @returns undefined where nothing is
 * @throws {TrustError} @throws {ArtifactError} @throws {Error}
 */
export async function openCarried(given: {
  readonly disk: UpdateDisk
  readonly box: Box
  readonly now: () => number
  readonly exclusively: <T>(act: () => Promise<T>) => Promise<T>
  readonly signal: AbortSignal
}): Promise<Carried | undefined> {
  const { disk, box, now, exclusively, signal } = given
  const order = await readOrder(disk)
  if (!order) return undefined
  const { rolloutId, care } = order
  if ((await disk.size(bundleFile(rolloutId))) === undefined) {
    // It had been used, and the power failed.
    await dropCarried(disk)
    return undefined
  }
  const bundle = await readBundle(await bytesOn(disk, bundleFile(rolloutId)))
  const boxTrust = openBoxTrust({ disk, source: bundle.trust, now, bundle: true })
  const refreshTrust: BoxTrust['refresh'] = (until) => exclusively(() => boxTrust.refresh(until))
  const trusted = await refreshTrust(signal)
  const manifests = await signedManifests(bundle, trusted)
  const offers = bestOf(manifests, trusted, box, now()).flatMap(({ one, refused }): Offer[] => {
    if (refused !== '') return []
    const { name, version } = one.manifest
    const { path, bytes } = one
    const manifest = { path, digest: digestOf(bytes), lengthBytes: bytes.length }
    const how = { attempt: 1, jitterMs: 0, mirrors: [], care }
    return [{ rolloutId, name, version, act: 'update', ...how, manifest }]
  })
  const supply: Supply = {
    refreshTrust,
    artifacts: {
      name: 'bundle',
      open: async (digest, from) =>
        bundle.digests.has(digest)
          ? { kind: 'bytes', bytes: bundle.open(digest, from) }
          : { kind: 'absent', why: 'it is not in the bundle' },
    },
  }
  return { rolloutId, offers: offers.slice(0, offersMax), supply }
}

/**
 * Of each model the highest version that is meant for this box, in the form for the most particular kind that it is; where none
 * is, the highest with the reason.
 */
function bestOf(
  manifests: readonly BundledManifest[],
  { fleet }: TrustedTargets,
  box: Box,
  now: number,
): readonly { readonly one: BundledManifest; readonly refused: string }[] {
  const kinds: readonly string[] = [...box.targets, anyTarget]
  const rank = ({ path }: BundledManifest): number => {
    const at = kinds.indexOf(path.slice(path.lastIndexOf('/') + 1, -'.json'.length))
    return at === -1 ? kinds.length : at
  }
  const judged = manifests.map((one) => {
    const { manifest } = one
    const { name, version } = manifest
    const refusal =
      manifestRefusal(manifest, manifest, box, fleet, now) ??
      pathRefusal({ name, version, manifest: { path: one.path } }, box)
    return { one, refused: refusal?.reason ?? '' }
  })
  const byName = Map.groupBy(judged, ({ one }) => one.manifest.name)
  return [...byName.values()]
    .map((some) =>
      some.toSorted(
        (a, b) =>
          Number(a.refused !== '') - Number(b.refused !== '') ||
          b.one.manifest.version - a.one.manifest.version ||
          rank(a.one) - rank(b.one),
      ),
    )
    .flatMap(([best]) => best ?? [])
    .toSorted((a, b) => a.one.manifest.name.localeCompare(b.one.manifest.name))
}

async function bytesOn(disk: UpdateDisk, path: string): Promise<BundleBytes> {
  const lengthBytes = await disk.size(path)
  if (lengthBytes === undefined) throw new Error('Cannot read the bundle: it is not there')
  return {
    lengthBytes,
    read: async (from, length) => {
      const bytes = await disk.readPart(path, from, length)
      if (bytes?.length !== length) throw new Error('Cannot read the bundle: it became shorter')
      return bytes
    },
  }
}
