import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { CheckpointFolder } from './checkpoint-folder.ts'

type Counters = { readonly best: number | null }
const run = promisify(execFile)

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'checkpoints-'))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const vectors = (seed: number) => ({
  parameters: Float32Array.from({ length: 1001 }, (_, i) => Math.sin(seed + i)),
  state: Float32Array.of(seed),
  nothing: new Float32Array(0),
})

test('CheckpointFolder gives back what was written, and keeps the newest', () =>
  withFolder(async (folder) => {
    const checkpoints = new CheckpointFolder<Counters>(join(folder, 'checkpoints'))
    assert.equal(await checkpoints.newest(), undefined)
    for (const step of [5, 90, 100]) await checkpoints.write(step, { best: step }, vectors(step))
    const newest = await checkpoints.newest()
    assert.equal(newest?.step, 100)
    assert.deepEqual(newest?.facts, { best: 100 })
    assert.deepEqual(newest?.vectors, vectors(100))
    assert.deepEqual(await readdir(join(folder, 'checkpoints')), [
      ...['step-000000090.checkpoint', 'step-000000100.checkpoint'],
    ])
    const again = await new CheckpointFolder<Counters>(folder).write(
      100,
      { best: 100 },
      vectors(100),
    )
    assert.equal(again, newest?.digest)
  }))

test('CheckpointFolder passes over what is torn, wherever it is', () =>
  withFolder(async (folder) => {
    const checkpoints = new CheckpointFolder<Counters>(folder)
    await checkpoints.write(1, { best: null }, vectors(1))
    await checkpoints.write(2, { best: null }, vectors(2))
    const file = join(folder, 'step-000000002.checkpoint')
    const whole = await readFile(file)
    for (const length of [0, 10, 25, 26, 60, whole.length - 1]) {
      await truncate(file, length)
      const torn: string[] = []
      assert.equal((await checkpoints.newest((name) => torn.push(name)))?.step, 1)
      assert.deepEqual(torn, [file])
      await writeFile(file, whole)
    }
    whole[200]! ^= 1
    await writeFile(file, whole)
    assert.equal((await checkpoints.newest())?.step, 1)
  }))

test('CheckpointFolder says that there is no room, and leaves the one before intact', () =>
  withFolder(async (folder) => {
    await new CheckpointFolder<Counters>(folder).write(1, { best: null }, vectors(1))
    const program = `
      import { CheckpointFolder } from ${JSON.stringify(new URL('checkpoint-folder.ts', import.meta.url).href)}
      const vectors = { parameters: new Float32Array(100_000) }
      try { await new CheckpointFolder(${JSON.stringify(folder)}).write(2, {}, vectors) }
      catch (error) { console.log(error.name + ': ' + error.message + '; ' + error.hint) }`
    const script = join(folder, 'full.mjs')
    await writeFile(script, program)
    // A file may grow to 64 KiB here: what the system says then is what it says of a full disk.
    const limited = `trap '' XFSZ; ulimit -f 64; exec "$0" "$1"`
    const { stdout } = await run('bash', ['-c', limited, process.execPath, script])
    assert.match(stdout, /^TrainError: Cannot write the checkpoint of step 2 .*no room/)
    assert.match(stdout, /checkpoint of step 1 is intact/)
    const checkpoints = new CheckpointFolder<Counters>(folder)
    assert.deepEqual((await checkpoints.newest())?.vectors, vectors(1))
    assert.equal((await readdir(folder)).filter((name) => name.endsWith('.draft')).length, 0)
  }))
