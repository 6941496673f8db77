/**
 * Builds the dashboard when its sources changed since the last build. The launcher calls this before
 * the hub starts; where nothing changed it only compares digests. Everything said goes to standard
 * error, because standard output carries results only.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = fileURLToPath(new URL('.', import.meta.url))
const repository = fileURLToPath(new URL('..', import.meta.url))
const dist = join(home, 'dist')
const digestFile = join(dist, '.digest')

/** What the built files depend on, relative to the repository. */
const sources = [
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
 * @throws {Error} when Vite cannot build it; the previous build is then gone or incomplete
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
  try {
    await build({
      root: home,
      configFile: join(home, 'vite.config.ts'),
      logLevel: 'warn',
      customLogger: logger,
      build: { outDir: dist, emptyOutDir: true },
    })
  } catch (cause) {
    throw new Error(
      `Cannot build the dashboard: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    )
  }
  writeFileSync(digestFile, digest)
  return dist
}

/** The digest of the sources that `dist` was built from; empty where there is no whole build. */
function builtFrom(): string {
  try {
    readFileSync(join(dist, 'index.html'))
    return readFileSync(digestFile, 'utf8')
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
  let entries: import('node:fs').Dirent[]
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
