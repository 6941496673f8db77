/** Keeps the JPEGs of events on disk, named by their digest, until the hub has them. */
import { createHash, randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Writes a JPEG to `folder/DIGEST.jpg`, whole or not at all.
 * @returns the SHA-256 of its bytes
 * @throws {Error} when the folder cannot be written
 */
export async function writeSnapshot(folder: string, jpeg: Uint8Array): Promise<string> {
  const digest = createHash('sha256').update(jpeg).digest('hex')
  const part = join(folder, `.${randomUUID()}.part`)
  try {
    await writeFile(part, jpeg)
    await rename(part, join(folder, `${digest}.jpg`))
  } catch (cause) {
    await rm(part, { force: true }).catch(() => {})
    throw new Error(`Cannot keep a snapshot in "${folder}": ${(cause as Error).message}`, { cause })
  }
  return digest
}
