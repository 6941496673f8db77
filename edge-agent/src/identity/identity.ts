/**
 * Who this box is: the key that was made on it, the certificate the hub gave for it, and where the hub
 * is. Kept in `identity/` of the agent's data folder, whole or not at all. A renewed identity lies beside
 * it in `identity.next/` until the hub has let it in once; only then it becomes the identity. At every point
 * where power can fail, what is on disk holds an identity that the hub lets in.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeviceId, SiteId } from '@edgeloop/protocol'
import { parse, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { type IdentityDisk, localDisk } from './identity-disk.ts'

/** What is kept beside key and certificates. */
export const Addresses = Type.Object({
  site: SiteId,
  deviceId: DeviceId,
  mqttUrl: Type.String({ pattern: '^mqtts://' }),
  deviceUrl: Type.String({ pattern: '^https://' }),
})
export type Addresses = Static<typeof Addresses>

/** Private key (PKCS#8) and the device's certificate, both PEM. */
export type Credentials = { readonly key: string; readonly certificate: string }

export type Identity = Addresses &
  Credentials & {
    /** Certificate of the hub's authority in PEM: the only one that is trusted. */
    readonly ca: string
  }

/** Folders inside the data folder. `new`: being written, worth nothing; `old`: replaced, not removed yet. */
const folders = {
  identity: 'identity',
  next: 'identity.next',
  new: 'identity.new',
  old: 'identity.old',
} as const

export const identityFolder = (dataDir: string): string => join(dataDir, folders.identity)
export const identityFiles = {
  key: 'device.key',
  certificate: 'device.crt',
  ca: 'ca.crt',
  addresses: 'addresses.json',
} as const

/** True where the data folder holds an identity, readable or not. */
export async function isEnrolled(dataDir: string): Promise<boolean> {
  for (const folder of [folders.identity, folders.next]) {
    if (await readIfThere(join(dataDir, folder, identityFiles.addresses))) return true
  }
  return false
}

/** Removes the identity, so that the box can enrol again; what it has recorded stays. */
export async function forgetIdentity(dataDir: string, disk = localDisk): Promise<void> {
  // The identity last: what lies beside it would take its place at the next start.
  for (const folder of [folders.new, folders.next, folders.old, folders.identity]) {
    await disk.remove(join(dataDir, folder))
  }
}

/**
 * Reads the identity in a data folder.
 * @throws {Error} when there is none, or a part of it cannot be used
 */
export async function readIdentity(dataDir: string): Promise<Identity> {
  // Power failed while the next identity took the place of this one: it has been let in before.
  const aside =
    !(await isThere(dataDir, folders.identity)) && (await isThere(dataDir, folders.next))
  return await readFolder(join(dataDir, aside ? folders.next : folders.identity))
}

/** The identity that waits to be used for the first time, or undefined. @throws {Error} when it is damaged */
export async function readNextIdentity(dataDir: string): Promise<Identity | undefined> {
  const waits = (await isThere(dataDir, folders.identity)) && (await isThere(dataDir, folders.next))
  return waits ? await readFolder(join(dataDir, folders.next)) : undefined
}

/**
 * Makes the folder in which an identity will be written, with its key: before anything is asked of the hub,
 * because a folder that cannot be written must not cost a token.
 */
export async function draftIdentity(
  dataDir: string,
  key: string,
  disk: IdentityDisk = localDisk,
): Promise<void> {
  const draft = join(dataDir, folders.new)
  // Left by one that a power cut ended.
  await disk.remove(draft)
  await disk.makeFolder(draft)
  await disk.writeFile(join(draft, identityFiles.key), key, 0o600)
}

/** Completes the draft, which becomes the next identity in one step that a power cut cannot halve. */
export async function stageIdentity(
  dataDir: string,
  { key: _, certificate, ca, ...addresses }: Identity,
  disk: IdentityDisk = localDisk,
): Promise<void> {
  const [draft, next] = [join(dataDir, folders.new), join(dataDir, folders.next)]
  await disk.writeFile(join(draft, identityFiles.certificate), certificate, 0o644)
  await disk.writeFile(join(draft, identityFiles.ca), ca, 0o644)
  const { site, deviceId, mqttUrl, deviceUrl } = addresses
  const text = `${JSON.stringify({ site, deviceId, mqttUrl, deviceUrl }, null, 2)}\n`
  await disk.writeFile(join(draft, identityFiles.addresses), text, 0o644)
  await disk.syncFolder(draft)
  await disk.remove(next)
  await disk.rename(draft, next)
  await disk.syncFolder(dataDir)
}

/** The next identity takes the place of the identity. Done again after a power cut, it ends the same. */
export async function settleIdentity(
  dataDir: string,
  disk: IdentityDisk = localDisk,
): Promise<void> {
  const path = (name: keyof typeof folders) => join(dataDir, folders[name])
  if (await isThere(dataDir, folders.next)) {
    if (await isThere(dataDir, folders.identity)) {
      await disk.remove(path('old'))
      await disk.rename(path('identity'), path('old'))
      await disk.syncFolder(dataDir)
    }
    // What is left of one that was being removed is none.
    await disk.remove(path('identity'))
    await disk.rename(path('next'), path('identity'))
    await disk.syncFolder(dataDir)
  }
  await disk.remove(path('old'))
}

/** Removes the next identity: the hub does not want it, or it is damaged. */
export async function dropNextIdentity(
  dataDir: string,
  disk: IdentityDisk = localDisk,
): Promise<void> {
  if (await isThere(dataDir, folders.identity)) await disk.remove(join(dataDir, folders.next))
}

/** Removes what an enrolment or a renewal that failed has left. */
export async function dropDraft(dataDir: string, disk: IdentityDisk = localDisk): Promise<void> {
  await disk.remove(join(dataDir, folders.new))
}

async function isThere(dataDir: string, folder: string): Promise<boolean> {
  return (await readIfThere(join(dataDir, folder, identityFiles.addresses))) !== undefined
}

async function readFolder(folder: string): Promise<Identity> {
  const read = async (name: string): Promise<string> => {
    const text = await readIfThere(join(folder, name))
    if (text !== undefined) return text
    throw new Error(
      `Cannot read identity: "${join(folder, name)}" is missing; enrol this box first`,
    )
  }
  const json = await read(identityFiles.addresses)
  const what = `"${join(folder, identityFiles.addresses)}"`
  const addresses = parse(Addresses, parseJson(new TextEncoder().encode(json), what), what)
  return {
    ...addresses,
    key: await read(identityFiles.key),
    certificate: await read(identityFiles.certificate),
    ca: await read(identityFiles.ca),
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`Cannot read identity: ${(error as Error).message}`, { cause: error })
  }
}
