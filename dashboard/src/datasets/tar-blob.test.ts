import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { tarBlob } from './tar-blob.ts'

test('tar reads what was put together: names, sizes and contents', async () => {
  const long = `${'folder/'.repeat(20)}picture.png`
  const files = [
    { path: 'a/b.txt', file: new Blob(['one']) },
    { path: 'größe.txt', file: new Blob([new Uint8Array(512).fill(65)]) },
    { path: 'empty', file: new Blob([]) },
    { path: long, file: new Blob(['two']) },
  ]
  const tar = Buffer.from(await tarBlob(files).arrayBuffer())
  assert.equal(tar.length % 512, 0)
  const listed = execFileSync('tar', ['-tf', '-'], {
    input: tar,
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  })
  assert.equal(
    listed
      .toString()
      .replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8))),
    Buffer.from(`a/b.txt\ngröße.txt\nempty\n${long}\n`).toString(
      listed.toString().includes('\\') ? 'latin1' : 'utf8',
    ),
  )
  const content = execFileSync('tar', ['-xOf', '-', 'a/b.txt', long], { input: tar })
  assert.equal(content.toString(), 'onetwo')
})

test('a path that no tar can hold is refused by its name', () => {
  const path = `${'x'.repeat(101)}.png`
  assert.throws(() => tarBlob([{ path, file: new Blob([]) }]), /its path is too long/)
})
