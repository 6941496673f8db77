/** Everything or nothing, and never over what somebody else put there. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { manifestName, openOutputFolder } from './output-folder.ts'

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-output-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

test('results appear all at once, and replace those of an earlier compilation', async (t) => {
  const base = await folderFor(t)
  const place = join(base, 'a/b')
  for (const text of ['first', 'second']) {
    await using output = await openOutputFolder(place)
    await writeFile(join(output.draft, manifestName), text)
    if (text === 'first') await writeFile(join(output.draft, 'only-first'), '')
    const before = await readFile(join(place, manifestName), 'utf8').catch(() => undefined)
    assert.equal(before, text === 'first' ? undefined : 'first')
    await output.commit()
  }
  assert.equal(await readFile(join(place, manifestName), 'utf8'), 'second')
  assert.deepEqual(await readdir(place), [manifestName])
  assert.deepEqual(await readdir(join(base, 'a')), ['b'])
})

test('what is not committed leaves nothing, neither beside nor inside', async (t) => {
  const base = await folderFor(t)
  const failing = async () => {
    await using output = await openOutputFolder(join(base, 'out'))
    await writeFile(join(output.draft, 'half'), '')
    throw new Error('stopped')
  }
  await assert.rejects(failing(), /stopped/)
  assert.deepEqual(await readdir(base), [])
})

test('a folder with other files, and a file, are refused before anything is done', async (t) => {
  const base = await folderFor(t)
  await mkdir(join(base, 'photos'))
  await writeFile(join(base, 'photos/holiday.jpg'), '')
  await assert.rejects(
    openOutputFolder(join(base, 'photos')),
    /it holds other files \(holiday\.jpg\)/,
  )
  await assert.rejects(
    openOutputFolder(join(base, 'photos/holiday.jpg')),
    /it is a file; name a folder/,
  )
  assert.deepEqual(await readdir(base), ['photos'])
  // An empty folder is as good as none.
  await mkdir(join(base, 'empty'))
  await using output = await openOutputFolder(join(base, 'empty'))
  await writeFile(join(output.draft, manifestName), '')
  await output.commit()
  assert.deepEqual(await readdir(join(base, 'empty')), [manifestName])
})
