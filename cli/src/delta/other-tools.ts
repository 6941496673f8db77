/** Differences as the tools that everybody has make them, where they are installed; every one of them at its best. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Name → what is started; the last argument is the file that it writes. */
const tools: Readonly<
  Record<string, (base: string, next: string, bytes: string, to: string) => readonly string[]>
> = {
  bsdiff: (base, next, _, to) => ['bsdiff', base, next, to],
  'xdelta3 -9': (base, next, _, to) => ['xdelta3', '-9', '-e', '-f', '-s', base, next, to],
  'zstd --patch-from': (base, next, _, to) => [
    ...['zstd', '-q', '-f', '--ultra', '-19', '--long=27'],
    ...[`--patch-from=${base}`, next, '-o', to],
  ],
  'xz of the byte difference': (_, __, bytes, to) => ['xz', '-9e', '-k', '-f', bytes, to],
}

export type OtherTool = {
  readonly name: string
  /** Undefined where it is not installed. */
  readonly bytes: number | undefined
  readonly encodeMs: number | undefined
}

/** Lets each tool make its difference. The byte difference is subtraction at the same place, modulo 256. */
export async function otherTools(
  base: Uint8Array,
  next: Uint8Array,
  signal: AbortSignal,
): Promise<OtherTool[]> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-delta-'))
  try {
    const [baseFile, nextFile] = [join(folder, 'base'), join(folder, 'next')]
    const byteFile = join(folder, 'bytes')
    await writeFile(baseFile, base)
    await writeFile(nextFile, next)
    await writeFile(
      byteFile,
      next.map((byte, i) => byte - (base[i] ?? 0)),
    )
    const made: OtherTool[] = []
    for (const [name, of] of Object.entries(tools)) {
      // xz names its output itself.
      const to = name.startsWith('xz') ? `${byteFile}.xz` : join(folder, 'made')
      const [program = '', ...args] = of(baseFile, nextFile, byteFile, to)
      if (program === 'xz') args.pop()
      const begun = performance.now()
      const isThere = await promisify(execFile)(program, args, { signal }).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return false
          throw error
        },
      )
      const encodeMs = Math.round(performance.now() - begun)
      made.push(
        isThere
          ? { name, bytes: (await stat(to)).size, encodeMs }
          : { name, bytes: undefined, encodeMs: undefined },
      )
      await rm(to, { force: true })
    }
    return made
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
