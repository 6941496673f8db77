/**
 * Samples on their way: the bytes that have come lie in a folder under the digest they shall have, so that what a file
 * holds is how far its sample is, after a restart as well.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

export type Coming = {
  file(digest: string): string
  /** Bytes that are here. */
  received(digest: string): Promise<number>
  append(digest: string, bytes: Uint8Array): Promise<void>
  /** SHA-256 of what is here. */
  digestOf(digest: string): Promise<string>
  drop(digest: string): Promise<void>
  /** Removes what nobody waits for. */
  keepOnly(wanted: (digests: readonly string[]) => Promise<ReadonlySet<string>>): Promise<void>
}

export async function openComing(folder: string): Promise<Coming> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = (digest: string): string => join(folder, digest)
  const drop = (digest: string): Promise<void> => rm(file(digest), { force: true })
  return {
    file,
    drop,
    received: async (digest) => {
      try {
        return (await stat(file(digest))).size
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
        throw error
      }
    },
    append: async (digest, bytes) => {
      await using handle = await open(file(digest), 'a', 0o600)
      await handle.writeFile(bytes)
    },
    digestOf: async (digest) => {
      const hash = createHash('sha256')
      for await (const chunk of createReadStream(file(digest))) hash.update(chunk as Buffer)
      return hash.digest('hex')
    },
    keepOnly: async (wanted) => {
      const here = await readdir(folder)
      const kept = await wanted(here)
      for (const name of here) if (!kept.has(name)) await drop(name)
    },
  }
}
