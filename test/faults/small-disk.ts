/** A small disk of its own in memory, which others can fill up, where one may be mounted. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type SmallDisk = Disposable & {
  readonly folder: string
  /** Others take every byte that is left. */
  fill(): void
  /** Others give it back. */
  free(): void
}

/** Mounts a disk at `folder`, or gives undefined where that is not allowed. */
export function mountSmallDisk(folder: string, sizeBytes: number): SmallDisk | undefined {
  mkdirSync(folder, { recursive: true })
  const args = ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', folder]
  try {
    execFileSync('mount', args, { stdio: 'ignore' })
  } catch {
    return undefined
  }
  const others = join(folder, 'others')
  return {
    folder,
    fill: () => {
      for (let size = 1 << 20; size >= 1; size >>= 2) {
        try {
          for (;;) writeFileSync(others, new Uint8Array(size), { flag: 'a' })
        } catch {
          // Full for pieces of this size: the rest takes smaller ones.
        }
      }
    },
    free: () => rmSync(others, { force: true }),
    [Symbol.dispose]: () => {
      execFileSync('umount', ['-l', folder])
    },
  }
}
