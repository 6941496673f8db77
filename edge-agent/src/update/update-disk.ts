/**
 * The only way in which the files of updates are read and written: small steps, of which a write is worth nothing
 * before its `sync`, and a name before the `syncFolder` of its folder. So a test can end the world between any two
 * of them, and take away what was not on the disk yet.
 */
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface UpdateDisk {
  /** Where other programs find a path; paths are relative to the folder of the updates, with `/`. */
  at(path: string): string
  /** A file's bytes, or undefined where there is none. */
  read(path: string): Promise<Uint8Array | undefined>
  /** Bytes of a file from a place on, fewer where it ends before; undefined where there is none. */
  readPart(path: string, from: number, lengthBytes: number): Promise<Uint8Array | undefined>
  /** Length of a file, or undefined where there is none. */
  size(path: string): Promise<number | undefined>
  /**
   * Makes these the bytes of a file, or with `from` those behind its first `from` bytes; not durable yet.
   * @throws {Error} with code `ENOSPC` where the disk is full; the file then holds anything
   */
  write(path: string, bytes: Uint8Array, from?: number): Promise<void>
  /** Waits until the bytes of a file are on the disk. */
  sync(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file or an empty folder; nothing where there is none. */
  remove(path: string): Promise<void>
  /** Makes a folder and those above it, on the disk when it resolves; nothing where it is there. */
  makeFolder(path: string): Promise<void>
  /** Waits until the names in a folder are on the disk. */
  syncFolder(path: string): Promise<void>
  /** Names in a folder, sorted; none where there is no folder. */
  list(path: string): Promise<readonly string[]>
  freeBytes(): Promise<number>
}

/** The box's own disk. @param folder made at the first write */
export function localUpdateDisk(folder: string): UpdateDisk {
  const at = (path: string) => join(folder, path)
  return {
    at,
    read: (path) => orAbsent(readFile(at(path))),
    readPart: (path, from, lengthBytes) => orAbsent(readPart(at(path), from, lengthBytes)),
    size: async (path) => (await orAbsent(stat(at(path))))?.size,
    async write(path, bytes, from) {
      await using handle = await open(
        at(path),
        from === undefined || from === 0 ? 'w' : 'r+',
        0o600,
      )
      if (from) await handle.truncate(from)
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, done, undefined, (from ?? 0) + done)
        done += bytesWritten
      }
    },
    sync: (path) => syncAt(at(path)),
    rename: (from, to) => rename(at(from), at(to)),
    async remove(path) {
      // What of the two it is, only the system knows for certain; EISDIR on Linux, EPERM elsewhere.
      const error = await unlink(at(path)).catch((why: NodeJS.ErrnoException) => why)
      if (error?.code === 'EISDIR' || error?.code === 'EPERM') await orAbsent(rmdir(at(path)))
      else if (error && error.code !== 'ENOENT') throw error
    },
    async makeFolder(path) {
      const first = await mkdir(at(path), { recursive: true, mode: 0o700 })
      if (first === undefined) return
      // Every name that is new, down from the folder that was there.
      for (let made = at(path); made.startsWith(first); made = dirname(made)) {
        await syncAt(dirname(made))
      }
    },
    syncFolder: (path) => syncAt(at(path)),
    list: async (path) => ((await orAbsent(readdir(at(path)))) ?? []).sort(),
    async freeBytes() {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    },
  }
}

async function readPart(path: string, from: number, lengthBytes: number): Promise<Uint8Array> {
  await using handle = await open(path, 'r')
  const bytes = new Uint8Array(lengthBytes)
  let filled = 0
  while (filled < lengthBytes) {
    const { bytesRead } = await handle.read(bytes, filled, lengthBytes - filled, from + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

async function syncAt(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}

async function orAbsent<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** True for an error that says that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** Writes a file so that after a power cut it is as before, or as wanted, and never between. */
export async function replaceFile(
  disk: UpdateDisk,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const part = `${path}.part`
  const folder = dirname(path)
  await disk.makeFolder(folder)
  try {
    await disk.write(part, bytes)
    await disk.sync(part)
    await disk.rename(part, path)
  } catch (error) {
    // It is written over the next time; a full disk wants it back now.
    await disk.remove(part).catch(() => {})
    throw error
  }
  await disk.syncFolder(folder)
}

/** Removes a folder with all that is in it; a power cut leaves a part of it. */
export async function removeFolder(disk: UpdateDisk, path: string): Promise<void> {
  for (const name of await disk.list(path)) await disk.remove(`${path}/${name}`)
  await disk.remove(path)
}
