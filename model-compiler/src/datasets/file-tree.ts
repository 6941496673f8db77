/**
 * The files of a folder, listed once. Labels may name what they like: only a file of the list is ever opened, so
 * nothing outside the folder is.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { opendir, open as openFile, readFile, realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { DatasetError } from './dataset-error.ts'
import { Problems } from './problems.ts'

/** Entries of a folder that are looked at: a wrong folder (`/`) must not take minutes. */
const entriesMax = 1_000_000
/** Most bytes of a file of labels of one image. */
export const labelBytesMax = 4 * 1024 * 1024

export class FileTree {
  readonly folder: string
  /** Paths within the folder, with `/` on every system, in the order of their code units. */
  readonly files: readonly string[]
  /** Links that lead out. */
  readonly problems: Problems
  readonly #known: ReadonlySet<string>

  private constructor(folder: string, files: readonly string[], problems: Problems) {
    this.folder = folder
    this.files = files
    this.problems = problems
    this.#known = new Set(files)
  }

  /**
   * Hidden files and what archives of macOS bring are left out; links within the folder are followed to files.
   * @throws {DatasetError} when there is no such folder, or too much in it
   */
  static async open(folder: string, signal?: AbortSignal): Promise<FileTree> {
    const files: string[] = []
    const problems = new Problems()
    try {
      const root = await realpath(folder)
      let entries = 0
      for await (const entry of await opendir(folder, { recursive: true })) {
        signal?.throwIfAborted()
        if (++entries > entriesMax) throw new Error(`it holds more than ${entriesMax} entries`)
        const file = join(entry.parentPath, entry.name)
        const name = relative(folder, file).split(sep).join('/')
        if (isClutter(name)) continue
        if (entry.isFile()) files.push(name)
        else if (entry.isSymbolicLink()) {
          const why = await linkFault(file, root)
          if (why === undefined) files.push(name)
          else if (why !== '') problems.add({ kind: 'link', file: name, text: why })
        }
      }
    } catch (cause) {
      if (signal?.aborted) throw cause
      const { code, message } = cause as NodeJS.ErrnoException
      const known: Record<string, string> = {
        ENOENT: 'there is no such folder',
        ENOTDIR: 'it is a file; give the folder it lies in',
      }
      const why = known[code ?? ''] ?? message
      throw new DatasetError(`Cannot read images of "${folder}": ${why}`, undefined, { cause })
    }
    // By code units, so that the order is the same on every machine.
    return new FileTree(folder, files.sort(), problems)
  }

  has(name: string): boolean {
    return this.#known.has(name)
  }

  /** @throws {DatasetError} when the file is none of the folder */
  path(name: string): string {
    if (!this.has(name)) {
      throw new DatasetError(`Cannot read "${name}": it is no file of "${this.folder}"`)
    }
    return join(this.folder, name)
  }

  /** @throws {DatasetError} when it is larger than `bytesMax` */
  async bytes(name: string, bytesMax: number): Promise<Buffer> {
    const file = this.path(name)
    const { size } = await stat(file)
    if (size > bytesMax) {
      throw new DatasetError(`Cannot read labels "${file}": ${size} bytes, allowed ${bytesMax}`)
    }
    return await readFile(file)
  }

  /** The first bytes of a file as text. */
  async head(name: string, bytes: number): Promise<string> {
    await using file = await openFile(this.path(name))
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(bytes), position: 0 })
    return buffer.toString('utf8', 0, bytesRead)
  }

  /** @throws {DatasetError} when it is larger than `bytesMax` */
  async text(name: string, bytesMax = labelBytesMax): Promise<string> {
    return (await this.bytes(name, bytesMax)).toString('utf8')
  }
}

const isClutter = (name: string): boolean =>
  name.split('/').some((part) => part.startsWith('.') || part === '__MACOSX')

/** Why a link is not followed; empty for one to a folder within, whose files are listed where they are. */
async function linkFault(file: string, root: string): Promise<string | undefined> {
  try {
    const target = await realpath(file)
    if (!target.startsWith(root + sep)) return 'a link that leads out of the folder is not followed'
    return (await stat(target)).isFile() ? undefined : ''
  } catch {
    return 'a link that leads nowhere'
  }
}

/** SHA-256 of a file's bytes, hex. */
export async function digestOfFile(file: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(file)) digest.update(chunk)
  return digest.digest('hex')
}
