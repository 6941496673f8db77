import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)

/** Runs a program of a few lines in a home of its own; gives what is in that home afterwards. */
async function homeAfter(program: string): Promise<string[]> {
  const home = await mkdtemp(join(tmpdir(), 'edgeloop-home-'))
  const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...env } = process.env
  try {
    await run(process.execPath, ['--input-type=module', '--eval', program], {
      env: { ...env, HOME: home },
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      timeout: 60_000,
    })
    return await readdir(home, { recursive: true })
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

const model = fileURLToPath(new URL('../../demo/conveyor.onnx', import.meta.url))

test('a model that runs leaves nothing in the home folder', async () => {
  const program = `
    const { ortRuntime } = await import(${url('./ort.ts')})
    await using session = await ortRuntime.open(${JSON.stringify(model)}, { threads: 1 })
    if (session.inputs.length === 0) throw new Error('no model')`
  assert.deepEqual(await homeAfter(program), [])
})

test('a thread that runs models in a process that never silenced the library refuses', async () => {
  const program = `
    import { Worker } from 'node:worker_threads'
    const worker = new Worker(\`
      import(${url('./load-ort.ts')}).then(({ loadOrt }) => loadOrt()).then(
        () => process.exit(1),
        ({ message }) => process.exit(message.includes('ORT_DISABLE_TELEMETRY') ? 0 : 2))\`, { eval: true })
    worker.on('exit', (code) => process.exit(code))`
  assert.deepEqual(await homeAfter(program), [])
})
