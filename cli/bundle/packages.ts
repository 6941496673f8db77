/**
 * The packages a program needs, found where pnpm put them and laid out flat as Node finds them anywhere:
 * one folder each below node_modules, a second version of a package inside the one that needs it.
 */
import { readdir, readFile, realpath } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { onnxRuntimeFolder, type Platform, sharpPackages } from './platforms.ts'

/** A package at its place: `node_modules/x`, or `node_modules/x/node_modules/y`. */
export type PlacedPackage = {
  readonly name: string
  readonly version: string
  /** Where its files are now, absolute. */
  readonly folder: string
  /** Where they go. */
  readonly place: string
}

/**
 * Never bundled. node-av's binary is under GPLv3 terms: boxes use the ffmpeg they have. The other two serve
 * ONNX Runtime's install script, which nobody runs.
 */
const leftOut = new Set(['node-av', 'adm-zip', 'global-agent'])

type Manifest = {
  readonly name: string
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * Finds packages and all they depend on.
 * @param roots absolute folder of the importing package → names of the packages it imports
 * @param elsewhere folders of packages that are not installed here: binaries of another platform
 * @throws {Error} when a package that is needed is not installed
 */
export async function placePackages(
  roots: ReadonlyMap<string, Iterable<string>>,
  platform: Platform,
  elsewhere: ReadonlyMap<string, string> = new Map(),
): Promise<readonly PlacedPackage[]> {
  const placed = new Map<string, PlacedPackage>()
  const waiting: { name: string; from: string; within: string; optional: boolean }[] = []
  for (const [from, names] of roots) {
    for (const name of names) waiting.push({ name, from, within: '', optional: false })
  }
  const wanted = new Set(sharpPackages(platform))
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { name, from, within, optional } = next
    if (leftOut.has(name)) continue
    // Binaries of other platforms: sharp depends on all of them, and installs those that fit.
    if (name.startsWith('@img/sharp-') && !wanted.has(name)) continue
    const folder = elsewhere.get(name) ?? (await resolve(name, from))
    if (folder === undefined) {
      if (optional && !wanted.has(name)) continue
      throw new Error(`Cannot bundle: package "${name}" is not installed`)
    }
    const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
    const { version } = manifest
    const flat = join('node_modules', name)
    const same = placed.get(flat)
    if (same?.version === version) continue
    const place = same === undefined ? flat : join(within, flat)
    if (placed.get(place)?.version === version) continue
    placed.set(place, { name, version, folder, place })
    const needs = { ...manifest.dependencies, ...manifest.optionalDependencies }
    for (const need of Object.keys(needs)) {
      const isOptional = manifest.optionalDependencies?.[need] !== undefined
      waiting.push({ name: need, from: folder, within: place, optional: isOptional })
    }
  }
  return [...placed.values()]
}

/** The folder of a package as Node would find it from `from`, or undefined. */
export async function resolve(name: string, from: string): Promise<string | undefined> {
  for (let folder = from; ; folder = dirname(folder)) {
    try {
      return await realpath(join(folder, 'node_modules', name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    if (dirname(folder) === folder) return undefined
  }
}

/** What no program reads: sources of declarations, maps, prose. Licences stay. */
const unread = /\.(?:d\.[cm]?ts|[cm]?ts|map|flow|md|markdown|tsbuildinfo)$/
const licence = /^(?:licen[cs]e|copying|notice)/i
const unreadFolders = new Set(['node_modules', 'test', 'tests', 'docs', 'example', 'examples'])

/** Files of a placed package that a box needs: path inside the package, absolute path. */
export async function filesOf(
  { name, folder }: PlacedPackage,
  platform: Platform,
): Promise<readonly { path: string; file: string }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files: { path: string; file: string }[] = []
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const path = file
      .slice(folder.length + 1)
      .split(sep)
      .join('/')
    const folders = path.split('/').slice(0, -1)
    if (folders.some((part) => unreadFolders.has(part))) continue
    if (unread.test(entry.name) && !licence.test(entry.name)) continue
    if (name === 'onnxruntime-node' && path.startsWith('bin/')) {
      if (!path.startsWith(`${onnxRuntimeFolder(platform)}/`)) continue
    }
    files.push({ path, file })
  }
  return files
}
