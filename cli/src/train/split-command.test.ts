import assert from 'node:assert/strict'
import { test } from 'node:test'
import { splitCommand } from './split-command.ts'

test('splitCommand() cuts at blanks, not within quotes, and expands nothing', () => {
  assert.deepEqual(splitCommand('  python3  train.py '), ['python3', 'train.py'])
  assert.deepEqual(splitCommand(`docker run -v "/my data:/order" 'a "b"' x''y`), [
    ...['docker', 'run', '-v', '/my data:/order', 'a "b"', 'xy'],
  ])
  assert.deepEqual(splitCommand(`echo "" $HOME;ls`), ['echo', '', '$HOME;ls'])
  assert.deepEqual(splitCommand('   '), [])
  assert.throws(() => splitCommand('a "b'), /a " is not closed/)
})
