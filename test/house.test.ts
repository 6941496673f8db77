/** Facts about the repository itself that only a machine should check. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('..', import.meta.url))
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: repository,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(repository, file)))
const read = (file: string): string => readFileSync(join(repository, file), 'utf8')

/** Who may import whom when the program runs (DESIGN's table); tests, scripts and benches are in `test`. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  'model-compiler': ['protocol'],
  'edge-agent': ['protocol', 'model-compiler'],
  'cloud-hub': ['protocol', 'model-compiler'],
  dashboard: ['protocol'],
  cli: ['protocol', 'edge-agent', 'cloud-hub', 'dashboard', 'model-compiler'],
}

const importsOf = (file: string): string[] =>
  [...read(file).matchAll(/(?:from|import|import\()\s*['"]([^'"]+)['"]/g)].map(
    ([, name = '']) => name,
  )

test('packages import only what the house allows', () => {
  const wrong: string[] = []
  for (const [folder, allowed] of Object.entries(mayImport)) {
    const sources = tracked.filter(
      (file) =>
        file.startsWith(`${folder}/src/`) && /\.tsx?$/.test(file) && !/\.test\.tsx?$/.test(file),
    )
    for (const file of sources) {
      for (const name of importsOf(file)) {
        const other = /^@edgeloop\/([^/]+)/.exec(name)?.[1]
        // Compiler and trainer stay where there is room for them; a box gets what reads artifacts.
        const door = folder === 'edge-agent' ? '@edgeloop/model-compiler/artifact' : name
        if (
          other !== undefined &&
          !(allowed.includes(other) && (other === 'protocol' || name === door))
        ) {
          wrong.push(`${file} imports ${name}`)
        }
        const inside =
          !name.startsWith('.') || normalize(join(dirname(file), name)).startsWith(`${folder}/`)
        // The command line reads the version of the checkout from its root.
        if (!inside && !name.endsWith('/package.json')) wrong.push(`${file} reaches out to ${name}`)
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test('every source file is reached from a door, a test or a script', () => {
  const code = tracked.filter((file) => /\.(tsx?|mjs)$/.test(file))
  const mentioned = new Set<string>()
  for (const file of code) {
    for (const [, path = ''] of read(file).matchAll(
      /['"]((?:\.\.?\/)[^'"]*?\.(?:tsx?|mjs|css))['"]/g,
    )) {
      mentioned.add(normalize(join(dirname(file), path)))
    }
  }
  const doors = tracked
    .filter(
      (file) => file.endsWith('package.json') || file.endsWith('.html') || file === 'edgeloop',
    )
    .map(read)
    .join('\n')
  const dead = code.filter(
    (file) =>
      !mentioned.has(file) &&
      !/\.test\.tsx?$|\.d\.ts$|vite\.config\.ts$/.test(file) &&
      !doors.includes(file.replace(/^[^/]+\//, '')),
  )
  assert.deepEqual(dead, [])
})

test('members of an object are written in it, not spread into it from another literal', () => {
  const wrong = tracked
    .filter((file) => /\.tsx?$/.test(file))
    .flatMap((file) =>
      read(file)
        .split('\n')
        // An attribute that React's types do not know can only be spread.
        .filter((line) => /[.]{3}[{]/.test(line) && !line.includes('webkitdirectory'))
        .map((line) => `${file}: ${line.trim()}`),
    )
  assert.deepEqual(wrong, [])
})

test('links between documents lead somewhere', () => {
  const broken: string[] = []
  for (const file of tracked.filter((name) => name.endsWith('.md'))) {
    for (const [, link = ''] of read(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      if (!existsSync(join(repository, dirname(file), link))) broken.push(`${file}: ${link}`)
    }
  }
  assert.deepEqual(broken, [])
})

test('the architecture page names every dependency that the packages have', () => {
  const page = read('ARCHITECTURE.md')
  const missing = tracked
    .filter((file) => file.endsWith('package.json'))
    .flatMap((file) => {
      const {
        dependencies = {},
        optionalDependencies = {},
        devDependencies = {},
      } = JSON.parse(read(file))
      return Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies })
    })
    .filter((name) => !name.startsWith('@edgeloop/') && !page.includes(`\`${name}\``))
  assert.deepEqual([...new Set(missing)], [])
})
