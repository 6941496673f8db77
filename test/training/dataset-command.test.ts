/** `edgeloop dataset` on folders: a person and a script look through labelled pictures, split and convert them. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-dataset-command-'))
  await mkdir(join(folder, 'photos/images'), { recursive: true })
  await mkdir(join(folder, 'photos/labels'))
  await writeFile(join(folder, 'photos/data.yaml'), 'names: [nut, bolt]\n')
  for (let at = 0; at < 12; at++) {
    const background = { r: 20 * at, g: (100 * at) % 256, b: 7 }
    const png = await sharp({ create: { width: 40, height: 20, channels: 3, background } })
      .png()
      .toBuffer()
    await writeFile(join(folder, `photos/images/${at}.png`), png)
    const lines = at === 3 ? 'nonsense\n' : `${at % 2} .5 .5 .5 .5\n`
    await writeFile(join(folder, `photos/labels/${at}.txt`), lines)
  }
  await writeFile(join(folder, 'photos/images/page.png'), '<!doctype html>')
  await writeFile(join(folder, 'photos/labels/page.txt'), '')
})
after(() => rm(folder, { recursive: true }))

const run = (...words: string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      [main, 'dataset', ...words],
      { cwd: folder },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })

test('dataset check and show tell figures, and what is wrong where', async () => {
  const text = await run('check', 'photos')
  assert.equal(text.code, 0, text.stderr)
  assert.match(text.stdout, /photos: 12 samples \(1 with nothing in them\), 11 box/)
  assert.match(text.stdout, /labels\/3\.txt:1: "nonsense" is not "class x y width height"/)
  assert.match(text.stdout, /images\/page\.png: it is a web page \(HTML\), no image/)
  const json = JSON.parse((await run('show', './photos', '--json')).stdout)
  assert.deepEqual(
    json.labels.map(({ label, samples }: { label: string; samples: number }) => [label, samples]),
    [
      ['nut', 6],
      ['bolt', 5],
    ],
  )
  assert.equal(json.faults, 2)
})

test('dataset split writes the part of each digest', async () => {
  const words = ['--holdout', '.25', '--validation', '.2', '--seed', '3', '--json']
  const done = await run('split', 'photos', ...words, '--out', 'split.json')
  assert.equal(done.code, 0, done.stderr)
  const [{ split, train, validation, test: held, leftOut }] = JSON.parse(done.stdout).splits
  assert.deepEqual([train + validation + held, held, leftOut], [12, 3, 0])
  assert.deepEqual(JSON.parse(await readFile(join(folder, 'split.json'), 'utf8')), split)
  const refused = await run('split', 'photos', '--folds', '3', '--holdout', '.2')
  assert.deepEqual(
    [refused.code, refused.stderr.split('\n')[0]],
    [2, 'error: Cannot use --folds with --holdout or --validation'],
  )
})

test('dataset export writes another form; a folder that is not there is named', async () => {
  const done = await run('export', 'photos', '--to', 'coco', '--out', 'coco', '--json')
  assert.equal(done.code, 0, done.stderr)
  assert.equal(JSON.parse(done.stdout).samples, 12)
  const { annotations } = JSON.parse(
    await readFile(join(folder, 'coco/annotations/instances.json'), 'utf8'),
  )
  assert.equal(annotations.length, 11)
  const nowhere = await run('check', 'nowhere')
  assert.match(nowhere.stderr, /error: Cannot read images of "nowhere": there is no such folder/)
})
