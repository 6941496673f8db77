/**
 * The keys of a hub's trust repository. At the first start all of them are made: those of targets, snapshot and timestamp
 * stay at the hub, and the three of the root go into a folder of their own, to be taken elsewhere. The hub reads the keys
 * that it finds, under whatever names; which of them count is said by the root alone. No key leaves this room but as
 * something that signs.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  makeKey,
  makeRoot,
  type PublicKey,
  readKey,
  type SigningKey,
  signDocument,
} from '@edgeloop/model-compiler/artifact'
import { writeDurably } from '../identity/durable-file.ts'

const dayMs = 86_400_000
export const rootMs = 365 * dayMs
/** How many root keys are made, and how many of them must sign. */
export const rootKeysMade = 3
const rootThreshold = 2

export type TrustKeys = {
  /** Those of these ids that are here. */
  of(keyIds: readonly string[]): readonly SigningKey[]
  has(keyId: string): boolean
  /** Makes a key and keeps it. */
  make(): Promise<SigningKey>
  /** Forgets keys, for good. */
  remove(keyIds: readonly string[]): Promise<void>
  /** Reads the folder anew: another replica, or a person, may have put a key there. */
  reread(): Promise<void>
}

/** @param folder of the keys; made where it is missing */
export async function openTrustKeys(folder: string): Promise<TrustKeys> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const keys = new Map<string, { key: SigningKey; file: string }>()
  const reread = async (): Promise<void> => {
    for (const file of await readdir(folder)) {
      if (!file.endsWith('.key')) continue
      const key = readKey(await readFile(join(folder, file), 'utf8'), join(folder, file))
      keys.set(key.keyId, { key, file })
    }
  }
  await reread()
  return {
    of: (keyIds) => keyIds.flatMap((keyId) => keys.get(keyId)?.key ?? []),
    has: (keyId) => keys.has(keyId),
    make: async () => {
      const { key, pem } = makeKey()
      const file = `${key.keyId}.key`
      await writeDurably(join(folder, file), pem, 0o600)
      keys.set(key.keyId, { key, file })
      return key
    },
    remove: async (keyIds) => {
      for (const keyId of keyIds) {
        const kept = keys.get(keyId)
        keys.delete(keyId)
        if (kept) await rm(join(folder, kept.file), { force: true })
      }
    },
    reread,
  }
}

/**
 * The first root of a hub: the one that lies in the folder of its keys, or a new one with all keys that it needs. The root
 * is written last, so that a start that was cut off begins again.
 * @param folders.online where the hub's own keys and the root are kept
 * @param folders.root where the root's keys are written: whoever has two of them owns the fleet
 * @param targetsElsewhere where the targets key is written instead, when it shall not be at the hub
 */
export async function openFirstRoot(
  folders: { readonly online: string; readonly root: string },
  clock: () => number,
  targetsElsewhere?: string,
): Promise<{ readonly root: Uint8Array; readonly made: boolean }> {
  const file = join(folders.online, '1.root.json')
  try {
    return { root: await readFile(file), made: false }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const keys = await openTrustKeys(folders.online)
  const rootKeys: SigningKey[] = []
  await mkdir(folders.root, { recursive: true, mode: 0o700 })
  for (let i = 1; i <= rootKeysMade; i++) {
    const { key, pem } = makeKey()
    rootKeys.push(key)
    await writeDurably(join(folders.root, `root-${i}.key`), pem, 0o600)
  }
  const role = async (elsewhere?: string): Promise<{ keys: PublicKey[]; threshold: number }> => {
    if (elsewhere === undefined) return { keys: [(await keys.make()).publicKey], threshold: 1 }
    const { key, pem } = makeKey()
    await mkdir(elsewhere, { recursive: true, mode: 0o700 })
    await writeDurably(join(elsewhere, 'targets.key'), pem, 0o600)
    return { keys: [key.publicKey], threshold: 1 }
  }
  const [targets, snapshot, timestamp] = [await role(targetsElsewhere), await role(), await role()]
  const unsigned = makeRoot({
    fleet: `fleet-${randomBytes(4).toString('hex')}`,
    expiresAt: clock() + rootMs,
    roles: {
      root: { keys: rootKeys.map(({ publicKey }) => publicKey), threshold: rootThreshold },
      targets,
      snapshot,
      timestamp,
    },
  })
  const root = signDocument(unsigned, rootKeys.slice(0, rootThreshold))
  await writeDurably(file, Buffer.from(root).toString(), 0o644)
  return { root, made: true }
}
