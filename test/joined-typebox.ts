/**
 * TypeBox as one file instead of nearly 700, which every process of the house would read at its start: a seventh of a
 * second of computing, and tests start more than a thousand. Processes of `npm test` load the joined file by
 * typebox-hook.ts; whoever starts the program, or one test file, by hand gets what is installed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const installed = createRequire(new URL('../protocol/package.json', import.meta.url))
const cache = fileURLToPath(new URL('../node_modules/.cache/edgeloop/', import.meta.url))

/** The ways in that the house uses, by the names of their joined files. */
const entries = { typebox: 'typebox', value: 'typebox/value', compile: 'typebox/compile' } as const

/**
 * Joins what is installed, once for each version.
 * @returns what NODE_OPTIONS has to hold for processes that shall load it
 */
export async function joinTypebox(): Promise<string> {
  const { version } = JSON.parse(readFileSync(packageOf('typebox'), 'utf8')) as { version: string }
  const folder = join(cache, `typebox-${version}`)
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true })
    // Beside it until it is whole: another run may do the same.
    const fresh = mkdtempSync(join(cache, 'typebox-'))
    await build({
      configFile: false,
      logLevel: 'warn',
      root: dirname(packageOf('typebox')),
      build: {
        ssr: true,
        outDir: fresh,
        minify: false,
        target: 'node24',
        emptyOutDir: true,
        rolldownOptions: {
          input: Object.fromEntries(
            Object.entries(entries).map(([name, way]) => [name, installed.resolve(way)]),
          ),
          output: { entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' },
        },
      },
    })
    try {
      renameSync(fresh, folder)
    } catch (error) {
      rmSync(fresh, { recursive: true })
      if (!existsSync(folder)) throw error
    }
  }
  const hook = new URL('./typebox-hook.ts', import.meta.url)
  hook.searchParams.set('folder', folder)
  return `--import=${hook.href}`
}

/** Its package.json, above what the package shows to the outside. */
function packageOf(name: string): string {
  let folder = dirname(installed.resolve(name))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return join(folder, 'package.json')
}
