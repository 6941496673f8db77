/** `./edgeloop train --search` and `--trainer` from the outside, on pictures that a small net learns within a second. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { needs } from '../require.ts'
import { writeStripes } from './stripes.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
let folder = ''
let data: readonly string[] = []
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-search-'))
  const pictures = join(folder, 'data')
  await mkdir(pictures)
  await writeStripes(pictures, 200, 5)
  data = ['--dataset-dir', pictures, '--model', 'new:mnist-cnn', '--progress', 'none', '--json']
})
after(() => rm(folder, { recursive: true }))

const command = (...args: string[]) => [`${repository}edgeloop`, 'train', ...data, ...args]
async function train(...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, command(...args), {
    timeout: 300_000,
  })
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

test('a search that is killed goes on, and keeps the best trial alone', needs('time'), async () => {
  const file = join(folder, 'search.yaml')
  const rates = '{ from: 0.0001, to: 0.02, scale: log }'
  await writeFile(
    file,
    `method: halving\ntrials: 3\nkeys:\n  optimizer.learningRate: ${rates}\n  batch: [16, 32]\n`,
  )
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')]
  const args = ['--epochs', '2', '--search', file]
  const said = await train(...args, '--out', whole)
  assert.equal(said.trials, 4)
  assert.equal(typeof said.testAccuracy, 'number')
  const first = spawn(process.execPath, command(...args, '--out', killed), { stdio: 'ignore' })
  const ended = once(first, 'close')
  while (!existsSync(join(killed, 'trials.json'))) {
    assert.equal(first.exitCode, null, 'it ended before it could be killed')
    await new Promise((done) => setTimeout(done, 20))
  }
  first.kill('SIGKILL')
  await ended
  const resumed = await train(...args, '--out', killed)
  assert.equal(resumed.digest, said.digest, 'the winner has the same weights')
  assert.deepEqual(resumed.settings, said.settings)
  const left = (await readdir(killed)).filter((name) => name.startsWith('trial-'))
  assert.equal(left.length, 1)
  const page = await readFile(join(killed, 'report.html'), 'utf8')
  assert.equal(page.match(/<polyline/g)?.length, 4)
  assert(page.includes(`${left[0]}/report.html`))
})

test(
  'a trainer of others gets an order, and its model is measured here',
  needs('time'),
  async () => {
    const script = join(folder, 'trainer.mjs')
    await writeFile(
      script,
      `
    import { readFileSync, writeFileSync } from 'node:fs'
    import { dirname, join } from 'node:path'
    const folder = dirname(process.argv.at(-1))
    const order = JSON.parse(readFileSync(process.argv.at(-1), 'utf8'))
    const out = (name, bytes) => writeFileSync(join(folder, order.output, name), bytes)
    out('metrics.jsonl', '{"step":1,"steps":1,"loss":0.7,"figures":{"accuracy":1}}\\n')
    out('model.onnx', readFileSync(join(folder, order.start)))
    out('result.json', JSON.stringify({ contract: 1, trainer: 'lazy 1', steps: 1, seconds: 0.1 }))
    `,
    )
    const out = join(folder, 'by others')
    const said = await train(
      '--trainer',
      `external:"${process.execPath}" "${script}"`,
      '--out',
      out,
    )
    // It has learned nothing and says that it is perfect.
    assert(said.testAccuracy < 0.9, `${said.testAccuracy}`)
    const card = await readFile(join(out, 'card.md'), 'utf8')
    assert.match(card, /lazy 1: 1 steps/)
    assert(existsSync(join(out, 'model.model.json')), 'a box can run it')
    // Asked again, it has ended already.
    const again = await train(
      '--trainer',
      `external:"${process.execPath}" "${script}"`,
      '--out',
      out,
    )
    assert.equal(again.digest, said.digest)
  },
)

test('wrong usage is said before anything runs', async () => {
  const refused = async (message: RegExp, ...args: string[]) =>
    await assert.rejects(train(...args, '--out', join(folder, 'never')), { code: 2, message })
  await refused(/is no external:COMMAND/, '--trainer', 'python3 train.py')
  assert(!existsSync(join(folder, 'never')))
})
