/**
 * Builds the dashboard when its sources changed since the last build. The launcher calls this before
 * the hub starts; where nothing changed it only compares digests. Everything said goes to standard
 * error, because standard output carries results only.
 */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  type Dirent,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const home = fileURLToPath(new URL('.', import.meta.url))
const repository = fileURLToPath(new URL('..', import.meta.url))
const dist = join(home, 'dist')
const digestName = '.digest'

/** What the built files depend on, relative to the repository. */
const sources = [
  'dashboard/build.ts',
  'dashboard/src',
  'dashboard/public',
  'dashboard/index.html',
  'dashboard/vite.config.ts',
  'dashboard/package.json',
  'protocol/src',
  'pnpm-lock.yaml',
]

/**
 * Makes `dashboard/dist` current and gives its path.
 * @throws {Error} when Vite cannot build it; the previous build is then as it was
 */
export async function buildDashboard(): Promise<string> {
  const digest = digestOf(sources)
  if (builtFrom() === digest) return dist
  const { build, createLogger } = await import('vite')
  const toStandardError = (text: string) => void process.stderr.write(`${text}\n`)
  const logger = {
    ...createLogger('warn'),
    info: () => {},
    warn: toStandardError,
    warnOnce: toStandardError,
    error: toStandardError,
  }
  // Beside the old one until it is whole: nobody ever sees half a build.
  const fresh = mkdtempSync(join(home, 'node_modules/.dist-'))
  try {
    await build({
      root: home,
      configFile: join(home, 'vite.config.ts'),
      logLevel: 'warn',
      customLogger: logger,
      build: { outDir: fresh, emptyOutDir: true },
    })
  } catch (cause) {
    rmSync(fresh, { recursive: true, force: true })
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`Cannot build the dashboard: ${why}`, { cause })
  }
  compress(fresh)
  writeFileSync(join(fresh, digestName), digest)
  chmodSync(fresh, 0o755)
  rmSync(dist, { recursive: true, force: true })
  renameSync(fresh, dist)
  return dist
}

/** Files smaller than this fit one packet as they are. */
const compressedBytesMin = 1400

/** Puts a gzip beside each file that a browser loads, so that the hub need not compress while it serves. */
function compress(folder: string): void {
  for (const path of filesUnder(folder)) {
    const bytes = readFileSync(path)
    if (!/\.(?:js|css|html|svg)$/.test(path) || bytes.length < compressedBytesMin) continue
    writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }))
  }
}

/** The digest of the sources that `dist` was built from; empty where there is no whole build. */
function builtFrom(): string {
  try {
    readFileSync(join(dist, 'index.html'))
    return readFileSync(join(dist, digestName), 'utf8')
  } catch {
    return ''
  }
}

/** SHA-256 over names and bytes of all files; tests are left out, they are not built. */
function digestOf(paths: readonly string[]): string {
  const hash = createHash('sha256')
  for (const path of paths.flatMap((each) => filesUnder(join(repository, each))).sort()) {
    hash
      .update(`${relative(repository, path)}\0`)
      .update(readFileSync(path))
      .update('\0')
  }
  return hash.digest('hex')
}

function filesUnder(path: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return [path]
    throw error
  }
  return entries
    .filter((entry) => !entry.name.endsWith('.test.ts'))
    .flatMap((entry) => filesUnder(join(path, entry.name)))
}

if (import.meta.main) await buildDashboard()
