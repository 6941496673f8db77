/** Every Mantine component that is used has its stylesheet: without it it is drawn as the browser would. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const source = import.meta.dirname
const mantine = fileURLToPath(import.meta.resolve('@mantine/core/styles.css')).replace(/\.css$/, '')

/** Components that are drawn by another of Mantine's, whose stylesheet they need. */
const drawnBy: Readonly<Record<string, string>> = {
  Autocomplete: 'Combobox',
  NativeSelect: 'Input',
  TextInput: 'Input',
}

test('every Mantine component in use has its stylesheet', () => {
  const styles = readFileSync(`${source}/styles.ts`, 'utf8')
  const used = globSync('**/*.tsx', { cwd: source }).flatMap((file) => {
    const text = readFileSync(`${source}/${file}`, 'utf8')
    const names = /import \{([^}]*)\} from '@mantine\/core'/.exec(text)?.[1] ?? ''
    return names.split(',').map((name) => name.trim())
  })
  assert.ok(used.includes('PasswordInput'), 'the imports were read')
  const missing = [...new Set(used)]
    .map((name) => drawnBy[name] ?? name)
    .filter((name) => existsSync(`${mantine}/${name}.css`))
    .filter((name) => !styles.includes(`'@mantine/core/styles/${name}.css'`))
  assert.deepEqual(missing, [])
})
