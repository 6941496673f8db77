/** Signing in, and what the browser listener says beside its answers. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Problem, Session } from '@edgeloop/protocol'
import { cookieOf, openTestHub, type TestHub, tokenOf } from './fixture.ts'

const dayMs = 86_400_000

test('a sign-in link works once, and says what to do the second time', async (t) => {
  const hub = await openTestHub(t)
  const token = tokenOf(await hub.hub.signInLink())
  const first = await signIn(hub, token)
  assert.equal(first.status, 200)
  assert.equal(((await first.json()) as Session).role, 'admin')
  const cookie = first.headers.get('set-cookie') ?? ''
  assert.match(cookie, /HttpOnly/)
  assert.match(cookie, /SameSite=Strict/)
  const session = await fetch(`${hub.hub.urls.browser}/api/session`, { headers: { cookie } })
  assert.equal(session.status, 200)

  const second = await signIn(hub, token)
  const problem = (await second.json()) as Problem
  assert.equal(second.status, 401)
  assert.equal(problem.code, 'signInRefused')
  assert.match(problem.detail, /edgeloop hub link/)
})

test('of many who use a sign-in link at once, one gets in', async (t) => {
  const hub = await openTestHub(t)
  const token = tokenOf(await hub.hub.signInLink())
  const replies = await Promise.all(Array.from({ length: 8 }, () => signIn(hub, token)))
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, ...Array(7).fill(401)])
})

test('a sign-in link is too old after a day', async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  const token = tokenOf(await hub.hub.signInLink())
  now += dayMs
  assert.equal((await signIn(hub, token)).status, 401)
})

test('signing out ends the session; it outlives a restart otherwise', async (t) => {
  const hub = await openTestHub(t)
  const reply = await signIn(hub, tokenOf(await hub.hub.signInLink()))
  const headers = { cookie: cookieOf(reply), origin: hub.hub.urls.browser }
  await hub.reopen()
  const call = (method: string) => fetch(`${hub.hub.urls.browser}/api/session`, { method, headers })
  assert.equal((await call('GET')).status, 200)
  assert.equal((await call('DELETE')).status, 204)
  assert.equal((await call('GET')).status, 401)
})

test('guessing sign-in tokens is slowed down', async (t) => {
  const hub = await openTestHub(t)
  const statuses: number[] = []
  for (let i = 0; i < 25; i++) statuses.push((await signIn(hub, `guess-${i}`)).status)
  assert.equal(statuses[0], 401)
  assert.equal(statuses.at(-1), 429)
  const link = tokenOf(await hub.hub.signInLink())
  const problem = (await (await signIn(hub, link)).json()) as Problem
  assert.equal(problem.code, 'tooManyRequests')
})

test('the local token is readable by its owner alone, and stays the same', async (t) => {
  const hub = await openTestHub(t)
  const { mode } = await stat(hub.hub.localTokenFile)
  assert.equal(mode & 0o777, 0o600)
  await hub.reopen()
  assert.equal((await hub.api('GET', '/api/devices')).status, 200)
})

test('secrets are not in the store', async (t) => {
  const hub = await openTestHub(t)
  const token = tokenOf(await hub.hub.signInLink())
  const cookie = (await signIn(hub, token)).headers.get('set-cookie') ?? ''
  const secret = /edgeloop_session=([^;]+)/.exec(cookie)?.[1] ?? 'none'
  const kept = await hub.inStore(async ({ reader }) => [
    await reader.selectFrom('sign_in_token').selectAll().execute(),
    await reader.selectFrom('session').selectAll().execute(),
  ])
  const text = JSON.stringify(kept)
  assert.ok(text.includes('owner'), 'this is where they would be')
  assert.ok(!text.includes(token), 'the sign-in token')
  assert.ok(!text.includes(secret), 'the session')
})

test('refusals are problem+json, whoever refuses', async (t) => {
  const hub = await openTestHub(t)
  const { browser } = hub.hub.urls
  const post = (body: string, type: string) =>
    fetch(`${browser}/api/session`, { method: 'POST', body, headers: { 'content-type': type } })
  const refusals: [Promise<Response>, string, RegExp][] = [
    [fetch(`${browser}/api/nothing`), 'notFound', /GET \/api\/nothing/],
    [post('{"a', 'application/json'), 'badRequest', /JSON/],
    [post('{"tokn":"x"}', 'application/json'), 'badRequest', /did you mean "token"/],
    [post('<a/>', 'text/xml'), 'wrongMediaType', /text\/xml/],
    [post('hello', 'text/plain'), 'wrongMediaType', /text\/plain/],
    [post(`{"token":"${'x'.repeat(2 ** 20)}"}`, 'application/json'), 'tooLarge', /too large/],
    [hub.api('GET', '/api/events?limit=501'), 'badRequest', /\/limit must be <= 500/],
    [hub.api('GET', '/api/events?lmit=5'), 'badRequest', /did you mean "limit"/],
    [hub.api('GET', '/api/events?from=2026-99-99T00:00:00.000Z'), 'badRequest', /the time/],
    [hub.api('GET', '/api/events/7'), 'notFound', /event 7/],
    [hub.api('GET', '/api/devices/nobody'), 'notFound', /"nobody"/],
  ]
  for (const [asked, code, detail] of refusals) {
    const reply = await asked
    const problem = (await reply.json()) as Problem
    assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/)
    assert.equal(problem.code, code, problem.detail)
    assert.equal(problem.status, reply.status)
    assert.match(problem.detail, detail)
  }
})

test('pages: hashed files for ever, the page never kept, every path the page, a policy without eval', async (t) => {
  const dashboardDir = await mkdtemp(join(tmpdir(), 'edgeloop-dashboard-'))
  t.after(() => rm(dashboardDir, { recursive: true, force: true }))
  await mkdir(join(dashboardDir, 'assets'))
  await writeFile(join(dashboardDir, 'index.html'), '<!doctype html><title>the page</title>')
  await writeFile(join(dashboardDir, 'assets', 'main-abc123.js'), 'export {}')
  const hub = await openTestHub(t, { dashboardDir })
  const get = (path: string, accept = 'text/html') =>
    fetch(hub.hub.urls.browser + path, { headers: { accept } })

  for (const path of ['/', '/devices/gate?tab=config']) {
    const page = await get(path)
    assert.match(await page.text(), /the page/)
    assert.equal(page.headers.get('cache-control'), 'no-store')
    const policy = page.headers.get('content-security-policy') ?? ''
    assert.match(policy, /script-src 'self';/)
    assert.doesNotMatch(policy, /unsafe-eval/)
  }
  const packed = gzipSync('export const packed = true')
  await writeFile(join(dashboardDir, 'assets', 'large-abc123.js'), 'export const packed = true')
  await writeFile(join(dashboardDir, 'assets', 'large-abc123.js.gz'), packed)
  const large = await get('/assets/large-abc123.js')
  assert.equal(large.headers.get('content-encoding'), 'gzip')
  assert.match(large.headers.get('content-type') ?? '', /javascript/)
  assert.match(large.headers.get('cache-control') ?? '', /immutable/)
  assert.equal(await large.text(), 'export const packed = true')
  const asset = await get('/assets/main-abc123.js')
  assert.match(asset.headers.get('cache-control') ?? '', /immutable/)
  assert.equal((await get('/assets/gone-abc123.js')).status, 404)
  assert.equal((await get('/api/nothing')).status, 404)
  assert.equal((await get('/..%2f..%2fetc%2fpasswd', '*/*')).status, 404)
})

test('without a dashboard the first page says how to build it', async (t) => {
  const hub = await openTestHub(t)
  const page = await fetch(hub.hub.urls.browser, { headers: { accept: 'text/html' } })
  assert.match(await page.text(), /not built.*npm start/s)
})

async function signIn({ hub }: TestHub, token: string): Promise<Response> {
  return await fetch(`${hub.urls.browser}/api/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
  })
}
