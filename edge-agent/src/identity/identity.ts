/**
 * Who this box is: the key that was made on it, the certificate the hub gave for it, and where the hub
 * is. Kept in `identity/` of the agent's data folder, whole or not at all.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DeviceId, SiteId } from '@edgeloop/protocol'
import { parse, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'

/** What is kept beside key and certificates. */
export const Addresses = Type.Object({
  site: SiteId,
  deviceId: DeviceId,
  mqttUrl: Type.String({ pattern: '^mqtts://' }),
  deviceUrl: Type.String({ pattern: '^https://' }),
})
export type Addresses = Static<typeof Addresses>

export type Identity = Addresses & {
  /** Private key, PKCS#8 in PEM. */
  readonly key: string
  /** The device's certificate in PEM. */
  readonly certificate: string
  /** Certificate of the hub's authority in PEM: the only one that is trusted. */
  readonly ca: string
}

/** Names inside the data folder. */
export const identityFolder = (dataDir: string): string => join(dataDir, 'identity')
export const identityFiles = {
  key: 'device.key',
  certificate: 'device.crt',
  ca: 'ca.crt',
  addresses: 'addresses.json',
} as const

/** True where the data folder holds an identity, readable or not. */
export async function isEnrolled(dataDir: string): Promise<boolean> {
  return (await readIfThere(join(identityFolder(dataDir), identityFiles.addresses))) !== undefined
}

/** Removes the identity, so that the box can enrol again; what it has recorded stays. */
export async function forgetIdentity(dataDir: string): Promise<void> {
  await rm(identityFolder(dataDir), { recursive: true, force: true })
}

/**
 * Reads the identity in a data folder.
 * @throws {Error} when there is none, or a part of it cannot be used
 */
export async function readIdentity(dataDir: string): Promise<Identity> {
  const folder = identityFolder(dataDir)
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
