/** A folder for one piece of work; it goes whatever happens. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** @param below where it is made; need not exist */
export async function withWorkFolder<T>(
  below: string,
  name: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await mkdir(below, { recursive: true })
  const folder = await mkdtemp(join(below, `${name}-`))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
