/** The API token of the machine's owner, in a file that nobody else can read. */
import { chmod, open, readFile, writeFile } from 'node:fs/promises'
import { newToken } from './token.ts'

/** Reads the token, or makes it at the first start. */
export async function readLocalToken(file: string): Promise<string> {
  try {
    const token = (await readFile(file, 'utf8')).trim()
    if (token.length >= 40) {
      await chmod(file, 0o600)
      return token
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const token = newToken()
  await writeFile(file, `${token}\n`, { mode: 0o600 })
  await using handle = await open(file)
  await handle.sync()
  return token
}
