/**
 * Test files that share a process. To start one costs more than most files of plain functions compute, so those that
 * touch nothing beyond themselves are imported by turns into one; every other file has a process of its own.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * What keeps a file by itself: other processes and threads, what belongs to the whole process, hooks (which would be those
 * of all), and what depends on the machine.
 */
const alone =
  /child_process|worker_threads|process\.(?:env|chdir|on|once|exit|kill|memoryUsage)|\bneeds\(|^(?:before|after|beforeEach|afterEach|suite|describe)\(|\bgc\(|mock\.(?:timers|module)/m

/** So many that a process is worth it, so few that the last one is not waited for. */
const filesTogether = 20

/** Whether a test can share a process: it lies beside what it tests, and its source says nothing against it. */
export const canShare = (file: string, source: string): boolean =>
  !file.startsWith('test/') && !alone.test(source)

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
  const { shared = [], own = [] } = Object.groupBy(files, (file) =>
    canShare(file, readFileSync(join(repository, file), 'utf8')) ? 'shared' : 'own',
  )
  const joined: string[] = []
  for (let from = 0; from < shared.length; from += filesTogether) {
    const path = join(folder, `joined-${joined.length + 1}.test.ts`)
    const lines = shared
      .slice(from, from + filesTogether)
      .map((file) => `import ${JSON.stringify(pathToFileURL(join(repository, file)).href)}`)
    writeFileSync(path, `${lines.join('\n')}\n`)
    joined.push(path)
  }
  return [...joined, ...own]
}
