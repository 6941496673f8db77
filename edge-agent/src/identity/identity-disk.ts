/**
 * The only way in which the files of an identity are written: few steps, each durable when it resolves, so
 * that a test can end the world between any two of them.
 */
import { mkdir, open, rename, rm } from 'node:fs/promises'

export type IdentityDisk = {
  makeFolder(path: string): Promise<void>
  /** Writes a file that was not there, and waits until it is on the disk. */
  writeFile(path: string, text: string, mode: number): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file or a folder with all that is in it; nothing where there is none. */
  remove(path: string): Promise<void>
  /** Waits until the names in a folder are on the disk. */
  syncFolder(path: string): Promise<void>
}

export const localDisk: IdentityDisk = {
  makeFolder: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  writeFile: async (path, text, mode) => {
    await using handle = await open(path, 'wx', mode)
    await handle.writeFile(text)
    await handle.sync()
  },
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  syncFolder: async (path) => {
    await using handle = await open(path)
    await handle.sync()
  },
}
