/**
 * The bundles a hub gives out: built when the first box of a platform asks, kept in a folder under the digest
 * of everything they are made of, and never more than two of a platform, so that a download that began before
 * an upgrade ends.
 */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentBundle, AgentBundles } from '@edgeloop/cloud-hub'
import { installScriptFile, repository } from './bundle.ts'
import type { BuildAnswer, BuildOrder } from './bundle-process.ts'
import type { Platform } from './platforms.ts'

const keptPerPlatform = 2
/** What a bundle is made of; dependencies are in the lockfile. */
const sources = [
  ...['cli', 'edge-agent', 'model-compiler', 'protocol'],
  ...['package.json', 'pnpm-lock.yaml', 'LICENSE'],
]

/**
 * Opens the bundles kept in `folder`.
 * @param options.onProgress one line per step of a build
 */
export async function openBundles(options: {
  folder: string
  onProgress: (text: string) => void
}): Promise<AgentBundles> {
  const { folder, onProgress } = options
  const building = new Map<string, Promise<AgentBundle>>()

  async function open(platform: Platform, signal: AbortSignal): Promise<AgentBundle> {
    const name = `${platform}-${await digestOfSources()}`
    const known = await readKept(folder, name, platform)
    if (known) return known
    let build = building.get(name)
    if (!build) {
      build = make(name, platform, signal).finally(() => building.delete(name))
      building.set(name, build)
    }
    return await build
  }

  async function make(name: string, platform: Platform, signal: AbortSignal): Promise<AgentBundle> {
    await mkdir(folder, { recursive: true })
    const file = join(folder, `${name}.tar.gz`)
    const built = await buildElsewhere({ platform, file }, onProgress, signal)
    // Written last: without it the archive is built again.
    await writeFile(join(folder, `${name}.json`), JSON.stringify(built))
    await forget(folder, platform, name)
    return { platform, file, ...built }
  }

  return { installScript: await readFile(installScriptFile, 'utf8'), open }
}

async function readKept(
  folder: string,
  name: string,
  platform: Platform,
): Promise<AgentBundle | undefined> {
  const file = join(folder, `${name}.tar.gz`)
  try {
    const kept = JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))
    const { size } = await stat(file)
    return size === kept.sizeBytes ? { platform, file, ...kept } : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Removes the oldest bundles of a platform, and what a build that was killed has left. */
async function forget(folder: string, platform: Platform, newest: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${platform}-`))
  const kept = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5))
  const ages = await Promise.all(
    kept.map(async (name) => ({ name, at: (await stat(join(folder, `${name}.json`))).mtimeMs })),
  )
  const others = ages.filter(({ name }) => name !== newest).toSorted((a, b) => b.at - a.at)
  const stay = new Set([newest, ...others.slice(0, keptPerPlatform - 1).map(({ name }) => name)])
  for (const name of names) {
    const stem = name.replace(/\.(?:json|tar\.gz)(?:\..*)?$/, '')
    if (!stay.has(stem)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

async function buildElsewhere(
  order: BuildOrder,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<{ sizeBytes: number; digest: string }> {
  const child = fork(new URL('./bundle-process.ts', import.meta.url), {
    // Ctrl-C in a terminal is the hub's to answer; this one ends with its channel.
    detached: true,
    // Type stripping says at every start that it is young.
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const stop = () => child.connected && child.disconnect()
  signal.addEventListener('abort', stop, { once: true })
  let answer: BuildAnswer | undefined
  child.on('message', (message: BuildAnswer) => {
    if (message.kind === 'progress') onProgress(`${order.platform}: ${message.text}`)
    else answer = message
  })
  try {
    child.send(order)
    const [code] = await exited
    signal.throwIfAborted()
    if (answer?.kind === 'built') {
      const { sizeBytes, digest } = answer
      return { sizeBytes, digest }
    }
    if (answer?.kind === 'failed') throw new Error(answer.reason)
    throw new Error(`Cannot build the bundle: its process ended with ${code}`)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Digest of the sources as they are now; a checkout that is edited gives new bundles. */
async function digestOfSources(): Promise<string> {
  const hash = createHash('sha256').update(process.version)
  for (const source of sources) {
    const path = join(repository, source)
    if ((await stat(path)).isFile()) {
      hash.update(source).update(await readFile(path))
      continue
    }
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    const files = entries
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('/node_modules'))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => !/\.test\.ts$/.test(file))
      .toSorted()
    for (const file of files)
      hash.update(file.slice(repository.length)).update(await readFile(file))
  }
  return hash.digest('hex').slice(0, 16)
}
