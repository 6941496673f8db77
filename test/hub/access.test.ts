/** Every route refuses everybody without its role: the tables are walked, nothing is listed here. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import {
  type ApiTokenMade,
  deviceRoutes,
  mayAct,
  type Problem,
  pathOf,
  type Role,
  type Route,
  roles,
  routes,
} from '@edgeloop/protocol'
import { WebSocket } from 'ws'
import { openTestHub, send, type TestBrowser, type TestDevice, type TestHub } from './fixture.ts'

const dayMs = 86_400_000
const wide = { timeout: 120_000 }

const params: Record<string, string | number> = new Proxy(
  { deviceId: 'gate', streamId: 'one', eventId: 1, digest: '0'.repeat(64), user: 'nobody' },
  // Whatever parameter a new route has.
  { get: (known, key) => Reflect.get(known, key) ?? '1' },
)

/** What a caller sends, and the role it has; undefined for somebody who is nobody. */
type Caller = {
  readonly who: string
  readonly role: Role | undefined
  readonly headers: Record<string, string>
}

test('each route refuses everybody without its role, before it reads anything', wide, async (t) => {
  const { hub, callers } = await openHubWithCallers(t)
  let walked = 0
  for (const [name, given] of Object.entries(routes)) {
    const route: Route = given
    if (!isRole(route.access)) continue
    for (const { who, role, headers } of callers) {
      if (role && mayAct(role, route.access)) continue
      const reply = await fetch(hub.hub.urls.browser + pathOf(route, params), {
        method: route.method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(route.method === 'GET' ? {} : { body: '{"not": "what any route takes"}' }),
      })
      const problem = (await reply.json()) as Problem
      assert.equal(problem.code, role ? 'forbidden' : 'notSignedIn', `${name} as ${who}`)
      walked++
    }
  }
  assert.ok(walked > 300, `${walked} refusals`)
})

test(
  'the WebSocket and the change stream open for nobody who is not signed in',
  wide,
  async (t) => {
    const { hub, callers } = await openHubWithCallers(t)
    const { browser } = hub.hub.urls
    for (const { who, role, headers } of callers) {
      const status = await handshake(browser, headers)
      assert.equal(status, role ? 101 : 401, `live as ${who}`)
      const stop = new AbortController()
      const changes = await fetch(`${browser}/api/changes`, { headers, signal: stop.signal })
      assert.equal(changes.status, role ? 200 : 401, `changes as ${who}`)
      stop.abort()
    }
    const admin = callers.find(({ who }) => who === 'session of an admin') ?? assert.fail()
    for (const origin of ['https://evil.example', 'null', `${browser}.evil.example`]) {
      assert.equal(await handshake(browser, { ...admin.headers, origin }), 403, origin)
    }
    assert.equal(await handshake(browser, { cookie: admin.headers.cookie ?? '' }), 403, 'no Origin')
  },
)

test('each route lets in whoever has its role', wide, async (t) => {
  const { hub, callers } = await openHubWithCallers(t)
  for (const [name, given] of Object.entries(routes)) {
    const route: Route = given
    // A stream of changes does not end; a sign-out would end the session of the next route.
    if (!isRole(route.access) || name === 'changes' || name === 'signOut') continue
    for (const { who, role, headers } of callers) {
      if (role !== route.access) continue
      const reply = await fetch(hub.hub.urls.browser + pathOf(route, params), {
        method: route.method,
        headers,
      })
      const { code, detail } = (await reply.json().catch(() => ({}))) as Partial<Problem>
      // What stands for a user is kept by the user, not by a token of a smaller role.
      if (headers.authorization && code === 'forbidden' && /with an API token/.test(detail ?? '')) {
        continue
      }
      assert.ok(![401, 403, 500].includes(reply.status), `${name} as ${who}: ${reply.status}`)
    }
  }
})

test(
  'each route of the device listener refuses whoever has no valid certificate',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const elsewhere = await openTestHub(t)
    const old = await hub.enrol('gate')
    const stranger = await elsewhere.enrol('gate')
    const gate = await hub.enrol('gate') // enrolled again: the first certificate is an older one
    const { ca } = gate.enrolment
    const callers: [string, number, object][] = [
      ['nobody', 401, {}],
      ['a certificate of another hub', 401, certificateOf(stranger)],
      ['a certificate that was replaced', 403, certificateOf(old)],
      ['a session', 401, { headers: await hub.signIn('anna', 'admin') }],
    ]
    let walked = 0
    for (const [name, given] of Object.entries(deviceRoutes)) {
      const route: Route = given
      if (route.access !== 'device') continue
      for (const [who, status, how] of callers) {
        const url = hub.hub.urls.device + pathOf(route, params)
        const reply = await send(url, route.method, { ca, ...how }, Buffer.from('{}'))
        assert.equal(reply.status, status, `${name} as ${who}: ${reply.text}`)
        walked++
      }
    }
    assert.ok(walked >= 8)
    const enrol = await send(
      `${hub.hub.urls.device}/enrol`,
      'POST',
      { ca },
      { token: 'x', csr: 'y' },
    )
    assert.equal(enrol.status, 401)
  },
)

/** A hub, and one of each who may come: by session and by token, in every role, and those who no longer may. */
async function openHubWithCallers(t: TestContext): Promise<{ hub: TestHub; callers: Caller[] }> {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  const late = await hub.signIn('late', 'admin')
  const lateToken = await makeToken(hub, late, 'admin', 1)
  now += 31 * dayMs
  const callers: Caller[] = [
    { who: 'nobody', role: undefined, headers: {} },
    nobody('a forged session', {
      cookie: 'edgeloop_session=forged',
      origin: late.origin,
    }),
    nobody('a forged token', { authorization: 'Bearer forged' }),
    nobody('an empty token', { authorization: 'Bearer' }),
    nobody('a password in a header', { authorization: 'Basic b3duZXI6b3duZXI=' }),
    nobody('an expired session', { ...late }),
    nobody('an expired token', { authorization: `Bearer ${lateToken.token}` }),
  ]
  for (const role of roles) {
    const browser = await hub.signIn(`${role}-1`, role)
    const { token } = await makeToken(hub, browser, role)
    callers.push({ who: `session of an ${role}`, role, headers: { ...browser } })
    callers.push({
      who: `token of an ${role}`,
      role,
      headers: { authorization: `Bearer ${token}` },
    })
  }
  const removed = await hub.signIn('removed', 'admin')
  const removedToken = await makeToken(hub, removed, 'admin')
  await hub.api('DELETE', '/api/users/removed')
  const revoked = await makeToken(hub, undefined, 'admin')
  await hub.api('DELETE', `/api/tokens/${revoked.apiToken.tokenId}`)
  callers.push(
    nobody('a removed user', { ...removed }),
    nobody('a token of a removed user', { authorization: `Bearer ${removedToken.token}` }),
    nobody('a revoked token', { authorization: `Bearer ${revoked.token}` }),
  )
  return { hub, callers }
}

const nobody = (who: string, headers: Record<string, string>): Caller => ({
  who,
  role: undefined,
  headers: { ...headers },
})

async function makeToken(
  hub: TestHub,
  who: TestBrowser | undefined,
  role: Role,
  validDays?: number,
): Promise<ApiTokenMade> {
  const body = { name: 'a program', role, ...(validDays ? { validDays } : {}) }
  const reply = who
    ? await fetch(`${hub.hub.urls.browser}/api/tokens`, {
        method: 'POST',
        headers: { ...who, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    : await hub.api('POST', '/api/tokens', body)
  assert.equal(reply.status, 201)
  return (await reply.json()) as ApiTokenMade
}

/** Status of a WebSocket handshake; 101 where it opened. */
async function handshake(browser: string, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(`${browser.replace('http', 'ws')}/api/live`, { headers })
  socket.on('error', () => {})
  const status = await Promise.race([
    once(socket, 'open').then(() => 101),
    once(socket, 'unexpected-response').then(([, reply]) => reply.statusCode as number),
  ])
  socket.terminate()
  return status
}

const isRole = (access: string): access is Role => (roles as readonly string[]).includes(access)

const certificateOf = ({ key, enrolment }: TestDevice) => ({ key, cert: enrolment.certificate })
