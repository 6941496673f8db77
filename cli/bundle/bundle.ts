/**
 * The bundle: everything a box needs to run the agent, in one archive that any `tar` and `gzip` unpack.
 * Node 24, the agent as JavaScript, and the packages it uses with the binaries of one platform. The same
 * sources give the same bytes.
 *
 *     bin/edgeloop-agent   starts the program on the Node beside it
 *     bin/node
 *     app/…                the program, laid out as in the repository
 *     manifest.json        what it is, and the SHA-256 of every file
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { createGzip } from 'node:zlib'
import { type Pack, pack } from 'tar-stream'
import { filesOf, placePackages } from './packages.ts'
import { nodePackage, ownPlatform, type Platform } from './platforms.ts'
import { fetchBinaries } from './registry.ts'
import { stripProgram } from './strip.ts'

export const repository = fileURLToPath(new URL('../..', import.meta.url))
/** The program on a box. */
const entry = relative(repository, fileURLToPath(new URL('../src/box.ts', import.meta.url)))
const launcher = 'bin/edgeloop-agent'
/** The installer, which takes the agent away again. */
export const installScriptFile = fileURLToPath(new URL('install.sh', import.meta.url))

export type BuiltBundle = {
  readonly platform: Platform
  readonly file: string
  readonly sizeBytes: number
  /** SHA-256 of the archive, hex. */
  readonly digest: string
}

type Entry = { readonly path: string; readonly mode: number } & (
  | { readonly bytes: Uint8Array }
  | { readonly file: string }
  | { readonly link: string }
)

/**
 * Builds a bundle.
 * @param options.file where the archive goes; it is complete once it is there
 * @throws {Error} when something it needs is not installed and cannot be fetched
 */
export async function buildBundle(options: {
  platform: Platform
  file: string
  onProgress?: (text: string) => void
  signal: AbortSignal
}): Promise<BuiltBundle> {
  const { platform, file, onProgress = () => {}, signal } = options
  await mkdir(dirname(file), { recursive: true })
  const scratch = await mkdtemp(`${file}.`)
  try {
    const entries = await collect(platform, scratch, onProgress, signal)
    onProgress(`packing ${entries.length} files`)
    const draft = join(scratch, 'bundle.tar.gz')
    const digest = await write(entries, draft, platform, signal)
    const { size } = await stat(draft)
    await rename(draft, file)
    return { platform, file, sizeBytes: size, digest }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function collect(
  platform: Platform,
  scratch: string,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<Entry[]> {
  onProgress('stripping types')
  const program = await stripProgram(repository, [entry])
  const elsewhere = await binaries(platform, scratch, onProgress, signal)
  const roots = new Map(
    [...program.packages].map(([folder, names]) => [join(repository, folder), names]),
  )
  const packages = await placePackages(roots, platform, elsewhere)
  const nodeFolder = elsewhere.get(nodePackage(platform)) ?? join(repository, 'node_modules/node')
  const entries: Entry[] = [
    { path: launcher, mode: 0o755, bytes: Buffer.from(await launcherText()) },
    { path: 'bin/node', mode: 0o755, file: join(nodeFolder, 'bin/node') },
    { path: 'bin/install.sh', mode: 0o755, file: installScriptFile },
    { path: 'LICENSE', mode: 0o644, file: join(repository, 'LICENSE') },
    ...[...program.files].map(([path, bytes]) => ({ path: `app/${path}`, mode: 0o644, bytes })),
    ...['protocol', 'edge-agent', 'model-compiler'].map((folder) => ({
      path: `app/node_modules/@edgeloop/${folder}`,
      mode: 0o777,
      link: `../../${folder}`,
    })),
  ]
  for (const placed of packages) {
    for (const { path, file } of await filesOf(placed, platform)) {
      entries.push({ path: `app/${placed.place}/${path}`, mode: 0o644, file })
    }
  }
  return entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** Binaries that are not installed on this machine because they are another platform's. */
async function binaries(
  platform: Platform,
  scratch: string,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  if (platform === ownPlatform()) return new Map()
  onProgress(`fetching Node and sharp for ${platform}`)
  const nodeVersion = process.versions.node
  return await fetchBinaries({
    repository,
    platform,
    nodeVersion,
    signal,
    folder: join(scratch, 'packages'),
  })
}

/** Starts the agent as the command line of a checkout does: same flags, same environment. */
async function launcherText(): Promise<string> {
  const file = join(repository, 'edge-agent/supervisor-node.json')
  const { flags, env } = JSON.parse(await readFile(file, 'utf8')) as {
    flags: string[]
    env: Record<string, string>
  }
  const defaults = Object.entries({ UV_THREADPOOL_SIZE: '16', ...env })
  return [
    '#!/bin/sh',
    '# Runs the Edgeloop agent on the Node beside it.',
    'here=$(dirname "$(dirname "$(readlink -f "$0")")")',
    ...defaults.map(([name, value]) => `: "\${${name}=${value}}"; export ${name}`),
    `exec "$here/bin/node" ${flags.join(' ')} "$here/app/cli/src/box.js" "$@"`,
    '',
  ].join('\n')
}

/** Writes the archive and gives its digest. Times and owners are nobody's, so that only content counts. */
async function write(
  entries: readonly Entry[],
  file: string,
  platform: Platform,
  signal: AbortSignal,
): Promise<string> {
  const archive = pack()
  const hash = createHash('sha256')
  const gzip = createGzip({ level: 6 })
  gzip.on('data', (chunk: Buffer) => hash.update(chunk))
  const written = pipeline(archive, gzip, createWriteStream(file), { signal })
  const filling = fill(archive, entries, platform)
  await Promise.all([written, filling])
  return hash.digest('hex')
}

async function fill(archive: Pack, entries: readonly Entry[], platform: Platform): Promise<void> {
  const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'))
  const digests: Record<string, string> = {}
  try {
    for (const item of entries) {
      if ('link' in item) {
        archive.entry({ ...headerOf(item), type: 'symlink', linkname: item.link })
        continue
      }
      const bytes = 'bytes' in item ? item.bytes : undefined
      digests[item.path] = bytes
        ? await addBytes(archive, item, bytes)
        : await addFile(archive, item, 'file' in item ? item.file : '')
    }
    const manifest = { version, platform, node: process.versions.node, files: digests }
    const text = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`)
    await addBytes(archive, { path: 'manifest.json', mode: 0o644 }, text)
    archive.finalize()
  } catch (error) {
    archive.destroy(error as Error)
    throw error
  }
}

type Named = Pick<Entry, 'path' | 'mode'>

const headerOf = ({ path, mode }: Named) => ({
  name: path,
  mode,
  uid: 0,
  gid: 0,
  mtime: new Date(0),
})

async function addBytes(archive: Pack, named: Named, bytes: Uint8Array): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    archive.entry(headerOf(named), Buffer.from(bytes), (error) =>
      error ? reject(error) : resolve(),
    )
  })
  return createHash('sha256').update(bytes).digest('hex')
}

async function addFile(archive: Pack, named: Named, file: string): Promise<string> {
  const { size } = await stat(file)
  const hash = createHash('sha256')
  const source = createReadStream(file)
  source.on('data', (chunk) => hash.update(chunk))
  await pipeline(source, archive.entry({ ...headerOf(named), size }))
  return hash.digest('hex')
}
