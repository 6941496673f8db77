/** Lists of class names as people write them. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { put } from '../../../test/detection/tiny-models.ts'
import { parseLabels, readLabels } from './labels.ts'

test('parseLabels() takes one label per line, whatever the line endings', () => {
  const text = '\uFEFFbolt\r\n  hex nut \r\ngear\r\n\r\n'
  assert.deepEqual(parseLabels(text, 'x'), ['bolt', 'hex nut', 'gear'])
})

test('parseLabels() names the line that is no label', () => {
  const from = 'labels file "x.txt"'
  assert.throws(() => parseLabels('a\n\nb', from), {
    name: 'ModelError',
    message: 'Cannot read labels file "x.txt": line 2 is empty, where a label was expected',
  })
  assert.throws(() => parseLabels('', from), {
    message: 'Cannot read labels file "x.txt": line 1 is empty, where a label was expected',
  })
  assert.throws(() => parseLabels(`a\n${'long'.repeat(30)}`, from), {
    message:
      'Cannot read labels file "x.txt": line 2 "longlonglonglonglong…" is longer than 100 characters',
  })
  assert.throws(() => parseLabels('<!doctype html>\n<title>404</title>', from), {
    message: 'Cannot read labels file "x.txt": line 1 begins an HTML page',
  })
})

test('readLabels() knows the 80 names of COCO', async () => {
  const { names, from } = await readLabels('coco')
  assert.equal(names.length, 80)
  assert.equal(new Set(names).size, 80)
  assert.deepEqual([names[0], names[79], from], ['person', 'toothbrush', 'coco'])
})

test('readLabels() says why a file cannot be read', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-labels-'))
  t.after(() => rm(folder, { recursive: true }))
  const none = join(folder, 'none.txt')
  await assert.rejects(readLabels(none), {
    name: 'ModelError',
    message: `Cannot read labels file "${none}": there is no such file; give a file or coco`,
  })
  await assert.rejects(readLabels(folder), {
    message: `Cannot read labels file "${folder}": it is a folder; give a file or coco`,
  })
  const binary = await put(folder, 'b.txt', Uint8Array.of(0xff, 0xfe, 0x00))
  await assert.rejects(readLabels(binary), {
    message: `Cannot read labels file "${binary}": it is not UTF-8 text; give a file or coco`,
  })
})
