/** Rules on events, from a box's event to a webhook, a broker and a mailbox that are not ours. */
import assert from 'node:assert/strict'
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type {
  AuditPage,
  DeliveryPage,
  ReceiverRow,
  ReceiverSaved,
  RuleRow,
  RuleTrial,
} from '@edgeloop/protocol'
import { topicFor } from '@edgeloop/protocol'
import mqtt from 'mqtt'
import { freePorts } from '../broker/mosquitto.ts'
import { runPlainMosquitto } from '../broker/plain-mosquitto.ts'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'
import { receiveMail } from './mailbox.ts'

const wide = { timeout: 120_000 }

type Got = { headers: Record<string, string | string[] | undefined>; body: string }

async function serve(t: TestContext, answer: (reply: ServerResponse, n: number) => void) {
  const got: Got[] = []
  const server = createServer(async (request, reply) => {
    let body = ''
    for await (const chunk of request) body += chunk
    got.push({ headers: request.headers, body })
    answer(reply, got.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { got, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` }
}

/** What a box sends of persons that appear on its door. */
async function openBox(device: TestDevice) {
  const client = await device.connect()
  const bootId = randomUUID()
  let sequence = 0
  return {
    sees: async (label: string, given: { snapshot?: string } = {}) => {
      sequence++
      const at = new Date().toISOString()
      const entry = {
        sequence,
        kind: 'appeared',
        at,
        streamId: 'door',
        trackId: sequence,
        label,
        score: 0.9,
        box: [0.1, 0.1, 0.2, 0.2],
        ...given,
      }
      await client.publishAsync(
        topicFor('events', device),
        JSON.stringify({ bootId, acknowledgedThrough: 0, entries: [entry] }),
        { qos: 1 },
      )
    },
  }
}

const hookAt = (url: string, more: object = {}) => ({
  receiver: { kind: 'webhook', url, plainHttp: true, allow: ['127.0.0.1'], ...more },
})

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

const until = (t: TestContext, look: () => void | Promise<void>) =>
  t.waitFor(look, { interval: 30, timeout: 30_000 })

test(
  'an event becomes one signed webhook, over a failure and a restart of the hub',
  wide,
  async (t) => {
    let works = false
    const { got, url } = await serve(t, (reply) => reply.writeHead(works ? 204 : 500).end())
    const hub = await openTestHub(t)
    const box = await openBox(await hub.enrol('gate'))
    const { secret, receiver } = await json<ReceiverSaved>(
      hub,
      'PUT',
      '/api/receivers/hook',
      hookAt(url),
    )
    assert.match(secret ?? '', /^whsec_/)
    assert.ok(!JSON.stringify(receiver).includes(secret ?? ''))
    const trial = await json<{ ok: boolean; outcome: string }>(
      hub,
      'POST',
      '/api/receivers/hook/trials',
    )
    assert.deepEqual(trial, { ok: false, outcome: 'Answered 500' })
    assert.equal(JSON.parse(got[0]?.body ?? '').type, 'io.edgeloop.rule.trial')
    got.length = 0

    await json(hub, 'PUT', '/api/rules/persons', {
      when: { kinds: ['appeared'], labels: ['person'] },
      tell: ['hook'],
    })
    await box.sees('person')
    await box.sees('dog')
    await until(t, () => assert.equal(got.length, 1))
    await hub.close()
    works = true
    await hub.reopen()
    await until(t, async () => {
      const { deliveries } = await json<DeliveryPage>(hub, 'GET', '/api/rule-deliveries')
      assert.deepEqual(
        deliveries.map(({ state, outcome, attempts }) => [state, outcome, attempts]),
        [['done', '204', 2]],
      )
    })
    assert.equal(got.length, 2)
    assert.equal(got[0]?.headers['webhook-id'], got[1]?.headers['webhook-id'])
    const { headers, body } = got[1] as Got
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    const key = Buffer.from((secret ?? '').slice('whsec_'.length), 'base64')
    assert.equal(
      headers['webhook-signature'],
      `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
    )
    assert.equal(JSON.parse(body).data.events[0].label, 'person')
    const [rule] = await json<RuleRow[]>(hub, 'GET', '/api/rules')
    assert.deepEqual([rule?.name, rule?.waiting, rule?.dead], ['persons', 0, 0])
    assert.ok(rule?.lastFiredAt)

    // The next secret signs beside the earlier one.
    const rotated = await json<ReceiverSaved>(hub, 'POST', '/api/receivers/hook/secret', {})
    assert.notEqual(rotated.secret, secret)
    assert.ok(rotated.receiver.earlierSecretUntil)
    await json(hub, 'POST', '/api/receivers/hook/trials')
    assert.equal(String(got.at(-1)?.headers['webhook-signature']).split(' ').length, 2)
    // No secret is in what anybody can read later.
    const { entries } = await json<AuditPage>(hub, 'GET', '/api/audit')
    const rows = await json<ReceiverRow[]>(hub, 'GET', '/api/receivers')
    for (const one of [secret, rotated.secret]) {
      assert.ok(!JSON.stringify([entries, rows]).includes(String(one)))
    }
  },
)

test('what cannot be set is refused, and says why', wide, async (t) => {
  const hub = await openTestHub(t)
  const refusal = async (method: string, path: string, body: unknown) => {
    const reply = await hub.api(method, path, body)
    return [reply.status, ((await reply.json()) as { detail: string }).detail] as const
  }
  const put = (receiver: object) => refusal('PUT', '/api/receivers/hook', { receiver })
  const webhook = { kind: 'webhook', url: 'https://hooks.example/' }
  for (const [receiver, why] of [
    [{ ...webhook, url: 'http://hooks.example/' }, /over https/],
    [{ ...webhook, url: 'https://a:b@hooks.example/' }, /password in it/],
    [{ ...webhook, allow: ['10.0.0.0/99'] }, /Cannot allow/],
    [{ kind: 'mqtt', url: 'https://broker.example', topic: 'x' }, /mqtts:/],
    [{ kind: 'mqtt', url: 'mqtts://broker.example', topic: 'x/#' }, /./],
    [{ kind: 'mail', to: ['nobody'], from: 'a@b', host: 'h', port: 25, security: 'none' }, /./],
  ] as const) {
    const [status, detail] = await put(receiver)
    assert.equal(status, 400, JSON.stringify(receiver))
    assert.match(detail, why)
  }
  assert.deepEqual(await refusal('PUT', '/api/rules/x', { when: {}, tell: ['nobody'] }), [
    400,
    'Cannot tell "nobody": there is no such receiver; an admin sets it up first',
  ])
  await json(hub, 'PUT', '/api/receivers/hook', { receiver: webhook })
  assert.match(
    (await refusal('PUT', '/api/rules/x', { when: {}, tell: ['hok'] }))[1],
    /mean "hook"/,
  )
  const unknown = await refusal('PUT', '/api/rules/x', { when: { label: ['a'] }, tell: ['hook'] })
  assert.match(unknown[1], /did you mean "labels"/)
  await json(hub, 'PUT', '/api/rules/x', { when: {}, tell: ['hook'] })
  assert.match(
    (await refusal('DELETE', '/api/receivers/hook', undefined))[1],
    /the rule "x" tells it/,
  )
  assert.equal((await refusal('DELETE', '/api/rules/y', undefined))[0], 404)
  assert.equal((await hub.api('DELETE', '/api/rules/x')).status, 204)
  assert.equal((await hub.api('DELETE', '/api/receivers/hook')).status, 204)
  // An address that is not public is refused when it is used, by what it resolves to.
  await json(hub, 'PUT', '/api/receivers/inside', {
    receiver: { ...webhook, url: 'https://localhost/' },
  })
  const trial = await json<{ ok: boolean; outcome: string }>(
    hub,
    'POST',
    '/api/receivers/inside/trials',
  )
  assert.match(trial.outcome, /not public/)
})

test('a trial says what a rule would have done, and sends nothing', wide, async (t) => {
  const { got, url } = await serve(t, (reply) => reply.end())
  const hub = await openTestHub(t)
  const box = await openBox(await hub.enrol('gate'))
  await json(hub, 'PUT', '/api/receivers/hook', hookAt(url))
  for (let i = 0; i < 6; i++) await box.sees(i % 3 === 0 ? 'dog' : 'person')
  await until(t, async () => {
    const trial = await json<RuleTrial>(hub, 'POST', '/api/rule-trials', {
      rule: {
        when: { labels: ['person'] },
        count: { atLeast: 2, withinSeconds: 60 },
        groupBy: ['device', 'stream'],
        tell: ['hook'],
      },
    })
    const { looked, matched, fired, silenced, whole, examples } = trial
    assert.deepEqual([looked, matched, fired, silenced, whole], [6, 4, 2, 0, true])
    assert.deepEqual(
      examples.map(({ group, event }) => `${group} ${event.sequence}`),
      ['gate/door 6', 'gate/door 3'],
    )
  })
  assert.equal(got.length, 0)
})

test('a broker that is not ours gets the message under the topic that was set', {
  ...wide,
  ...needs('mosquitto'),
}, async (t) => {
  const [port = 0] = await freePorts(1)
  const broker = await runPlainMosquitto({ port, username: 'hub', password: 'seven' })
  t.after(() => broker[Symbol.asyncDispose]())
  const hub = await openTestHub(t)
  const box = await openBox(await hub.enrol('gate'))
  const listener = await mqtt.connectAsync(broker.url, { username: 'hub', password: 'seven' })
  t.after(() => listener.end(true))
  const heard: [string, string][] = []
  listener.on('message', (topic, payload) => heard.push([topic, payload.toString()]))
  await listener.subscribeAsync('alerts/#')
  const receiver = {
    kind: 'mqtt',
    url: broker.url,
    username: 'hub',
    allow: ['127.0.0.1'],
    topic: 'alerts/{rule}/{device}/{stream}/{label}',
  }
  const path = '/api/receivers/broker'
  const { secret } = await json<ReceiverSaved>(hub, 'PUT', path, { receiver, password: 'seven' })
  assert.equal(secret, null)
  await json(hub, 'PUT', '/api/rules/persons', { when: {}, tell: ['broker'] })
  await box.sees('wet/paint+#')
  await until(t, () => assert.equal(heard.length, 1))
  assert.equal(heard[0]?.[0], 'alerts/persons/gate/door/wet_paint__')
  assert.equal(JSON.parse(heard[0]?.[1] ?? '').type, 'io.edgeloop.rule.fired')
  // A password was given for one broker: another address does not get it.
  const other = { ...receiver, url: broker.url.replace('127.0.0.1', 'localhost') }
  const moved = await json<ReceiverSaved>(hub, 'PUT', path, { receiver: other })
  assert.equal(moved.receiver.hasPassword, false)
  await json(hub, 'PUT', path, { receiver, password: 'wrong' })
  const trial = await json<{ ok: boolean; outcome: string }>(hub, 'POST', `${path}/trials`)
  assert.equal(trial.ok, false)
  assert.match(trial.outcome, /Cannot publish at 127\.0\.0\.1:\d+: .*[Nn]ot authorized/)
})

test('a mail brings what was gathered, with the picture in it', wide, async (t) => {
  const mailbox = await receiveMail(t, { user: 'hub', password: 'seven' })
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const box = await openBox(gate)
  const picture = Buffer.from('/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==', 'base64')
  const snapshot = createHash('sha256').update(picture).digest('hex')
  const receiver = {
    kind: 'mail',
    to: ['guard@site.example'],
    from: 'hub@site.example',
    host: '127.0.0.1',
    port: mailbox.port,
    security: 'none',
    username: 'hub',
    allow: ['127.0.0.1'],
  }
  await json(hub, 'PUT', '/api/receivers/guard', { receiver, password: 'seven' })
  await json(hub, 'PUT', '/api/rules/night', { when: {}, gatherSeconds: 1, tell: ['guard'] })
  await box.sees('<b>person</b>', { snapshot })
  await box.sees('dog')
  // It comes after its event, as pictures do.
  await gate.put(`/blobs/${snapshot}`, 'image/jpeg', picture)
  await until(t, () => assert.equal(mailbox.mails.length, 1))
  const [mail = ''] = mailbox.mails
  assert.match(mail, /^Subject: Edgeloop: <b>person<\/b> appeared \(gate\/door\) and 1 more/m)
  assert.match(mail, /^Auto-Submitted: auto-generated/im)
  assert.match(mail, /dog appeared \(gate\/door\), site main/)
  assert.match(mail, /&lt;b&gt;person/, 'what an event says is no markup')
  assert.ok(!/<li>[^<]*<b>/.test(mail))
  assert.match(mail, /^Content-Disposition: inline/im)
  assert.ok(mail.includes(picture.toString('base64')))
  await json(hub, 'PUT', '/api/receivers/guard', { receiver, password: 'wrong' })
  const trial = await json<{ ok: boolean; outcome: string }>(
    hub,
    'POST',
    '/api/receivers/guard/trials',
  )
  assert.match(trial.outcome, /Cannot send over 127\.0\.0\.1:\d+: .*(login|auth)/i)
})

test('rules and receivers are set, tried and looked after from the terminal', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { got, url } = await serve(t, (reply, n) => reply.writeHead(n === 1 ? 410 : 200).end())
  const hub = await openTestHub(t)
  const box = await openBox(await hub.enrol('gate'))
  const edgeloop = async (...words: string[]) => {
    const { code, stdout, stderr } = await runCommand(hub, ...words)
    assert.equal(code, 0, stderr)
    return stdout + stderr
  }
  const set = await edgeloop(
    ...['receiver', 'put', 'hook', '--webhook', url, '--plain-http', '--allow', '127.0.0.1'],
  )
  assert.match(set, /whsec_/)
  const file = join(hub.dataDir, 'rule.yaml')
  await writeFile(file, 'when: { labels: [person], kinds: [appeared] }\ntell: [hook]\n')
  assert.match(await edgeloop('rule', 'put', 'persons', '--file', file), /Rule "persons" is set/)
  await box.sees('person')
  await until(t, () => assert.equal(got.length, 1))
  await until(t, async () =>
    assert.match(await edgeloop('rule', 'list'), /persons +on .*hook +0 +1/),
  )
  assert.match(await edgeloop('rule', 'deliveries', '--state', 'dead'), /Answered 410/)
  assert.match(await edgeloop('rule', 'test', '--file', file), /would have fired once/)
  assert.match(await edgeloop('rule', 'retry', '--receiver', 'hook'), /1 delivery/)
  await until(t, () => assert.equal(got.length, 2))
  assert.match(await edgeloop('receiver', 'test', 'hook'), /200/)
  assert.match(await edgeloop('receiver', 'list'), /hook +webhook at http/)
  assert.match(await edgeloop('receiver', 'secret', 'hook'), /whsec_/)
  await edgeloop('rule', 'remove', 'persons')
  await edgeloop('receiver', 'remove', 'hook')
  const wrong = await runCommand(hub, 'rule', 'put', 'x', '--file', file)
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /no such receiver/)
})
