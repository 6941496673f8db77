import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { readHubConfig } from './configuration.ts'
import { openHub } from './hub.ts'

const log = pino({ level: 'silent' })

test('openHub() says which port is in use and how to choose another, and leaves nothing open', async (t) => {
  const dataDir = await temporaryFolder(t)
  const occupied = createServer().listen(0, '127.0.0.1')
  t.after(() => occupied.close())
  await new Promise((resolve) => occupied.once('listening', resolve))
  const { port } = occupied.address() as { port: number }
  const free = { browser: { port: 0 }, device: { port: 0 }, mqtt: { port: 0 } }
  for (const [listener, flag] of [
    ['browser', '--port'],
    ['device', '--device-port'],
    ['mqtt', '--mqtt-port'],
  ] as const) {
    const config = readHubConfig({ dataDir, ...free, [listener]: { port } })
    const text = new RegExp(
      `Cannot listen on 127\\.0\\.0\\.1:${port}: port ${port} is in use.*${flag}`,
    )
    await assert.rejects(openHub(config, { log }), text)
  }
  // Nothing holds the store: the next start is a good one.
  await using hub = await openHub(readHubConfig({ dataDir, ...free }), { log })
  assert.match(hub.urls.browser, /^http:\/\/localhost:\d+$/)
  assert.match(await hub.signInLink(), /^http:\/\/localhost:\d+\/#token=[\w-]{43}$/)
})

test('openHub() keeps keys and secrets to their owner', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data')
  const free = { browser: { port: 0 }, device: { port: 0 }, mqtt: { port: 0 } }
  await using hub = await openHub(readHubConfig({ dataDir, ...free }), { log })
  const modeOf = async (path: string) => (await stat(path)).mode & 0o777
  assert.equal(await modeOf(dataDir), 0o700)
  assert.equal(await modeOf(join(dataDir, 'keys', 'ca.key')), 0o600)
  assert.equal(await modeOf(hub.localTokenFile), 0o600)
})

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-hub-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
