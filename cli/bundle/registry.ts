/**
 * Packages of another platform, which are not installed here: fetched from the package registry by npm,
 * checked against the lockfile where it knows them, and unpacked into a folder.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import { parse } from 'yaml'
import { nodePackage, type Platform, sharpPackages } from './platforms.ts'

const run = promisify(execFile)
/** Larger than any package we ask for; what is larger is refused. */
const packageBytesMax = 300 * 1024 * 1024

/**
 * Fetches Node and sharp's binaries for a platform.
 * @param folder empty folder that keeps them
 * @returns folder of each package by its name
 * @throws {Error} when no registry is reachable, or a package is not what the lockfile says
 */
export async function fetchBinaries(options: {
  repository: string
  platform: Platform
  nodeVersion: string
  folder: string
  signal: AbortSignal
}): Promise<ReadonlyMap<string, string>> {
  const { repository, platform, nodeVersion, folder, signal } = options
  const locked = await readLocked(repository)
  const found = new Map<string, string>()
  const wanted = [
    { name: nodePackage(platform), version: nodeVersion, integrity: undefined },
    ...sharpPackages(platform).map((name) => ({ name, ...lockedOf(locked, name) })),
  ]
  for (const { name, version, integrity } of wanted) {
    const target = join(folder, name)
    const tarball = await download(`${name}@${version}`, folder, signal)
    if (integrity !== undefined) await checkIntegrity(tarball, integrity, name)
    await unpack(tarball, target)
    await rm(tarball)
    found.set(name, target)
  }
  return found
}

type Locked = Readonly<Record<string, { resolution?: { integrity?: string } }>>

async function readLocked(repository: string): Promise<Locked> {
  const text = await readFile(join(repository, 'pnpm-lock.yaml'), 'utf8')
  return (parse(text) as { packages: Locked }).packages
}

function lockedOf(locked: Locked, name: string): { version: string; integrity: string } {
  for (const [key, { resolution }] of Object.entries(locked)) {
    if (!key.startsWith(`${name}@`) || resolution?.integrity === undefined) continue
    return { version: key.slice(name.length + 1), integrity: resolution.integrity }
  }
  throw new Error(`Cannot bundle: the lockfile does not know "${name}"`)
}

async function download(spec: string, folder: string, signal: AbortSignal): Promise<string> {
  await mkdir(folder, { recursive: true })
  try {
    const { stdout } = await run(
      'npm',
      ['pack', spec, '--json', '--ignore-scripts', '--pack-destination', folder],
      { cwd: folder, signal, maxBuffer: 16 * 1024 * 1024 },
    )
    const [packed] = JSON.parse(stdout) as [{ filename: string }]
    return join(folder, packed.filename.replace('@', '').replace('/', '-'))
  } catch (cause) {
    signal.throwIfAborted()
    throw new Error(`Cannot fetch "${spec}": is a package registry reachable from the hub?`, {
      cause,
    })
  }
}

async function checkIntegrity(file: string, integrity: string, name: string): Promise<void> {
  const [algorithm = '', expected] = integrity.split('-')
  const hash = createHash(algorithm)
  await pipeline(createReadStream(file), hash)
  const found = hash.digest('base64')
  if (found === expected) return
  throw new Error(`Cannot use "${name}": its digest is "${found}", the lockfile says "${expected}"`)
}

/** Unpacks regular files of an npm tarball; everything in it lies in one folder, which is left away. */
async function unpack(tarball: string, target: string): Promise<void> {
  const entries = extract()
  const unpacking = (async () => {
    let left = packageBytesMax
    for await (const entry of entries) {
      const { name, type, mode, size = 0 } = entry.header
      const path = normalize(name).split('/').slice(1).join('/')
      left -= size
      if (left < 0) throw new Error(`Cannot unpack "${tarball}": it holds too much`)
      if (type !== 'file' || path === '' || path.split('/').includes('..')) {
        entry.resume()
        continue
      }
      const file = join(target, path)
      await mkdir(dirname(file), { recursive: true })
      await pipeline(entry, createWriteStream(file, { mode: mode ?? 0o644 }))
    }
  })()
  await Promise.all([pipeline(createReadStream(tarball), createGunzip(), entries), unpacking])
}
