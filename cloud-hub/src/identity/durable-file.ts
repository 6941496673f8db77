/** Writes a file whole or not at all: temporary name, fsync, rename, fsync of the folder. */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** @param mode permission bits, such as 0o600 for a key */
export async function writeDurably(file: string, text: string, mode: number): Promise<void> {
  const temporary = `${file}.new`
  {
    await using handle = await open(temporary, 'w', mode)
    await handle.writeFile(text)
    await handle.sync()
  }
  await rename(temporary, file)
  await using folder = await open(dirname(file))
  await folder.sync()
}
