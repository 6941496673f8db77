/**
 * Test files that share a process. To start one costs more than most files of plain functions compute, so those that
 * touch nothing beyond themselves are imported by turns into one, and so are those with a hub in their process; every other file has a process of its own.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * What keeps a file by itself: other processes and threads, what belongs to the whole process, and hooks (which would be
 * those of all).
 */
const alone =
  /child_process|worker_threads|process\.(?:env|chdir|on|once|exit|kill|memoryUsage)|^(?:before|after|beforeEach|afterEach|suite|describe)\(|\bgc\(|mock\.(?:timers|module)|hub-process|on-postgres/m
/** What depends on the machine does more than plain functions do. */
const dependent = /\bneeds\(/

/** Tests with a hub of their own each, in their process: what they import costs more than most of them do. */
const hubFolder = 'test/hub/'

/** So many that a process is worth it, so few that the last one is not waited for. */
const filesTogether = { plain: 20, hub: 5 } as const

/** With which others a test can share a process; undefined where it has to be alone. */
export function sharesWith(file: string, source: string): keyof typeof filesTogether | undefined {
  if (alone.test(source)) return undefined
  if (file.startsWith(hubFolder)) return 'hub'
  return file.startsWith('test/') || dependent.test(source) ? undefined : 'plain'
}

/**
 * Finds the test files of `patterns` and joins those that can share a process.
 * @param folder where files that import others are written
 * @returns the files to run, the joined ones first
 */
export function joinFiles(
  repository: string,
  patterns: readonly string[],
  folder: string,
): string[] {
  const files = globSync([...patterns], {
    cwd: repository,
    exclude: (name) => name.split('/').includes('node_modules'),
  }).sort()
  const {
    plain = [],
    hub = [],
    own = [],
  } = Object.groupBy(
    files,
    (file) => sharesWith(file, readFileSync(join(repository, file), 'utf8')) ?? 'own',
  )
  const together = (kind: keyof typeof filesTogether, shared: readonly string[]): string[] =>
    Array.from({ length: Math.ceil(shared.length / filesTogether[kind]) }, (_, part) => {
      const path = join(folder, `joined-${kind}-${part + 1}.test.ts`)
      const lines = shared
        .slice(part * filesTogether[kind], (part + 1) * filesTogether[kind])
        .map((file) => `import ${JSON.stringify(pathToFileURL(join(repository, file)).href)}`)
      writeFileSync(path, `${lines.join('\n')}\n`)
      return path
    })
  return [...together('plain', plain), ...together('hub', hub), ...own]
}
