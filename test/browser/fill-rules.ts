/** Rules as a site might have them, with deliveries that were taken, are tried again, and were given up. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { topicFor } from '@edgeloop/protocol'
import type { TestHub } from '../hub/fixture.ts'

const answers: Readonly<Record<string, number>> = { '/guard': 204, '/desk': 503, '/old': 410 }

/** The server that it tells ends with the process. */
export async function fillRules(hub: TestHub): Promise<void> {
  const server = createServer((request, reply) => {
    request.resume()
    reply.writeHead(answers[request.url ?? ''] ?? 404).end()
  })
  server.listen(0, '127.0.0.1')
  server.unref()
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const put = async (path: string, body: object): Promise<void> => {
    const reply = await hub.api('PUT', path, body)
    if (!reply.ok) throw new Error(`Cannot PUT ${path}: ${await reply.text()}`)
  }
  for (const name of Object.keys(answers)) {
    const url = `http://127.0.0.1:${port}${name}`
    const receiver = { kind: 'webhook', url, plainHttp: true, allow: ['127.0.0.1'] }
    await put(`/api/receivers${name}`, { receiver })
  }
  await put('/api/rules/dock', {
    description: 'somebody where forklifts drive',
    when: { kinds: ['zone'], labels: ['person'], zones: ['dock'], scoreMin: 0.6 },
    coolDownSeconds: 300,
    groupBy: ['device', 'stream'],
    tell: ['guard'],
  })
  await put('/api/rules/crowd', {
    when: { kinds: ['appeared'], labels: ['person'] },
    count: { atLeast: 3, withinSeconds: 60 },
    tell: ['guard', 'desk'],
  })
  await put('/api/rules/trucks', {
    when: { labels: ['truck'] },
    coolDownSeconds: 60,
    tell: ['old'],
  })

  const ramp = await hub.enrol('ramp-1', 'Ramp 1')
  const client = await ramp.connect()
  const bootId = randomUUID()
  let sequence = 0
  const happens = async (entry: object): Promise<void> => {
    sequence++
    const box = [0.1, 0.1, 0.2, 0.2]
    const common = { sequence, at: new Date().toISOString(), streamId: 'ramp', trackId: sequence }
    const entries = [{ ...common, score: 0.9, box, ...entry }]
    const payload = JSON.stringify({ bootId, acknowledgedThrough: 0, entries })
    await client.publishAsync(topicFor('events', ramp), payload, { qos: 1 })
    await sleep(300)
  }
  for (let n = 0; n < 6; n++) await happens({ kind: 'appeared', label: 'person' })
  await happens({ kind: 'zone', label: 'person', zone: 'dock', act: 'entered' })
  await happens({ kind: 'appeared', label: 'truck' })
  await sleep(1500)
}
