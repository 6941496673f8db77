/** Every route refuses everybody without its role: the table is walked, nothing is listed here. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import {
  mayAct,
  type Problem,
  pathOf,
  type Role,
  type Route,
  roles,
  routes,
} from '@edgeloop/protocol'
import { openTestHub, type TestHub } from './fixture.ts'

const params = { deviceId: 'gate', streamId: 'one', eventId: 1, digest: '0'.repeat(64) }

test('each route of the table refuses everybody without its role, before it reads anything', async (t) => {
  const hub = await openTestHub(t)
  const cookies = sessionPerRole(hub)
  let walked = 0
  for (const [name, given] of Object.entries(routes)) {
    const route: Route = given
    if (route.access === 'public' || route.access === 'device' || route.access === 'enrolment')
      continue
    const callers: [Role | undefined, string | undefined][] = [
      [undefined, undefined],
      [undefined, 'edgeloop_session=forged'],
      ...roles.map((role): [Role, string] => [role, cookies[role]]),
    ]
    for (const [role, cookie] of callers) {
      if (role && mayAct(role, route.access)) continue
      const reply = await fetch(hub.hub.urls.browser + pathOf(route, params), {
        method: route.method,
        headers: { 'content-type': 'application/json', ...(cookie ? { cookie } : {}) },
        ...(route.method === 'GET' ? {} : { body: '{"not": "what any route takes"}' }),
      })
      const problem = (await reply.json()) as Problem
      const expected = role ? 'forbidden' : 'notSignedIn'
      assert.equal(problem.code, expected, `${name} as ${role ?? cookie ?? 'nobody'}`)
      walked++
    }
  }
  assert.ok(walked > 40, `${walked} refusals`)
})

test('each route lets in whoever has its role', async (t) => {
  const hub = await openTestHub(t)
  const cookies = sessionPerRole(hub)
  for (const [name, given] of Object.entries(routes)) {
    const route: Route = given
    // A stream of changes does not end; a sign-out would end the session of the next route.
    if (!(route.access in cookies) || name === 'changes' || name === 'signOut') continue
    const reply = await fetch(hub.hub.urls.browser + pathOf(route, params), {
      method: route.method,
      headers: { cookie: cookies[route.access as Role] },
    })
    await reply.arrayBuffer()
    assert.ok(![401, 403, 500].includes(reply.status), `${name} answered ${reply.status}`)
  }
})

test('the API token of the machine acts as admin; another token is nobody', async (t) => {
  const hub = await openTestHub(t)
  assert.equal((await hub.api('GET', '/api/devices')).status, 200)
  const { browser } = hub.hub.urls
  const reply = await fetch(`${browser}/api/devices`, { headers: { authorization: 'Bearer x' } })
  assert.equal(reply.status, 401)
})

test('what changes something is refused when it comes from a page of another site', async (t) => {
  const hub = await openTestHub(t)
  const { browser } = hub.hub.urls
  const cookie = sessionPerRole(hub).admin
  const post = (origin: string) =>
    fetch(`${browser}/api/sign-in-links`, { method: 'POST', headers: { cookie, origin } })
  for (const origin of ['https://evil.example', 'null', `${browser}.evil.example`]) {
    assert.equal(((await (await post(origin)).json()) as Problem).code, 'foreignOrigin', origin)
  }
  assert.equal((await post(browser)).status, 201)
})

/** Sessions written as a sign-in writes them; links only ever make admins so far. */
function sessionPerRole({ dataDir }: TestHub): Record<Role, string> {
  using db = new DatabaseSync(join(dataDir, 'hub.db'))
  const insert = db.prepare('insert into session values (?, ?, ?, ?, ?)')
  const entries = roles.map((role) => {
    const secret = randomBytes(32).toString('base64url')
    const hash = createHash('sha256').update(secret).digest('hex')
    insert.run(hash, role, role, Date.now(), Date.now() + 60_000)
    return [role, `edgeloop_session=${secret}`]
  })
  return Object.fromEntries(entries) as Record<Role, string>
}
