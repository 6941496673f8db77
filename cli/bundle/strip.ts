/**
 * From TypeScript that runs in a checkout to JavaScript that runs anywhere: the module graph behind an
 * entry is followed, types are blanked out, and `.ts` in specifiers becomes `.js`. Node refuses to strip
 * types below node_modules, and a box should not spend its start on it.
 */
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { init, parse } from 'es-module-lexer'

/** The files of a program and the packages it needs from elsewhere. */
export type Program = {
  /** Path relative to the repository → content; JavaScript where it was TypeScript. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Packages imported from outside, by the folder of the package that imports them. */
  readonly packages: ReadonlyMap<string, ReadonlySet<string>>
}

/** A model's description lies beside it and is found by its name. */
const descriptionSuffix = '.model.yaml'
/** Packages of this repository: `@edgeloop/protocol` lives in `protocol/`. */
const scope = '@edgeloop/'
/** Files named by address: worker threads, child processes, models. */
const byAddress = /new URL\(\s*(['"])(\.{1,2}\/[^'"]+)\1\s*,\s*import\.meta\.url\s*\)/g

/**
 * Collects the program behind `entries`.
 * @param repository absolute path
 * @param entries paths relative to it
 * @throws {Error} when a file that is imported is not there
 */
export async function stripProgram(
  repository: string,
  entries: readonly string[],
): Promise<Program> {
  await init
  const files = new Map<string, Uint8Array>()
  const packages = new Map<string, Set<string>>()
  const seen = new Set<string>()
  const waiting = [...entries]

  /** The file behind a specifier in `from`; packages from elsewhere are noted. */
  async function follow(from: string, specifier: string): Promise<void> {
    if (specifier.startsWith('.')) {
      waiting.push(relative(repository, join(repository, dirname(from), specifier)))
      return
    }
    if (specifier.startsWith('node:')) return
    if (specifier.startsWith(scope)) {
      waiting.push(await door(specifier))
      return
    }
    const home = from.split('/')[0] ?? ''
    const needed = packages.get(home) ?? new Set()
    packages.set(home, needed.add(packageOf(specifier)))
  }

  /** The file that `exports` of a package of ours names for this specifier. */
  async function door(specifier: string): Promise<string> {
    const [folder = '', ...rest] = specifier.slice(scope.length).split('/')
    waiting.push(join(folder, 'package.json'))
    const text = await readFile(join(repository, folder, 'package.json'), 'utf8')
    const { exports } = JSON.parse(text) as { exports: Record<string, string> }
    const target = exports[['.', ...rest].join('/')]
    if (target === undefined)
      throw new Error(`Cannot bundle: nothing is exported as "${specifier}"`)
    return join(folder, target)
  }

  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    const bytes = await readFile(join(repository, file))
    if (file.endsWith('package.json')) {
      files.set(file, Buffer.from(packageJson(bytes.toString())))
    } else if (!file.endsWith('.ts')) {
      files.set(file, bytes)
      if (file.endsWith('.onnx')) waiting.push(file.replace(/\.onnx$/, descriptionSuffix))
    } else {
      // Says that its files are modules.
      waiting.push(join(file.split('/')[0] ?? '', 'package.json'))
      const { code, specifiers } = stripModule(bytes.toString(), file)
      files.set(toJs(file), Buffer.from(code))
      for (const specifier of specifiers) await follow(file, specifier)
    }
  }
  return { files, packages }
}

/**
 * One module as JavaScript, and what it refers to, as its source says it. Line numbers stay: types are
 * replaced by blanks, so stack traces need no map.
 */
export function stripModule(
  source: string,
  name: string,
): { code: string; specifiers: readonly string[] } {
  const stripped = stripTypeScriptTypes(source)
  const specifiers = new Set<string>()
  const changes: { start: number; end: number; text: string }[] = []
  const [imports] = parse(stripped, name)
  for (const found of imports) {
    if (found.type === 'import-meta' || found.specifier === undefined) continue
    const { specifier, start, end, type } = found
    specifiers.add(specifier)
    // The quotes of a dynamic import lie within its range.
    const text = type === 'dynamic' ? `'${toJs(specifier)}'` : toJs(specifier)
    if (specifier.startsWith('.')) changes.push({ start, end, text })
  }
  for (const match of stripped.matchAll(byAddress)) {
    const [all, , path = ''] = match
    if (path.endsWith('/')) continue
    specifiers.add(path)
    const start = match.index + all.indexOf(path)
    changes.push({ start, end: start + path.length, text: toJs(path) })
  }
  let code = stripped
  for (const { start, end, text } of changes.toSorted((a, b) => b.start - a.start)) {
    code = code.slice(0, start) + text + code.slice(end)
  }
  return { code, specifiers: [...specifiers] }
}

const toJs = (path: string): string => path.replace(/\.ts$/, '.js')

/** What Node needs of a package.json, and what people look for: no scripts, no dependencies. */
function packageJson(text: string): string {
  const { name, version, license, type, exports } = JSON.parse(text) as Record<string, unknown>
  const doors = Object.entries((exports ?? {}) as Record<string, string>)
  const stripped = Object.fromEntries(doors.map(([door, file]) => [door, toJs(file)]))
  return `${JSON.stringify({ name, version, license, type, exports: stripped }, null, 2)}\n`
}

/** `@scope/name/file` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
