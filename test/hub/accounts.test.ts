/** Accounts, passwords, sessions and API tokens, over the wire. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  ApiTokenMade,
  ApiTokenRow,
  OneTimeLink,
  Problem,
  Session,
  SessionRow,
  UserRow,
} from '@edgeloop/protocol'
import { needs } from '../require.ts'
import {
  cookieOf,
  openTestHub,
  type TestBrowser,
  type TestHub,
  testPassword,
  tokenOf,
} from './fixture.ts'

const dayMs = 86_400_000
const wide = { timeout: 60_000 }

test('a new hub has one account, its owner, who is the last admin', wide, async (t) => {
  const hub = await openTestHub(t)
  const users = await json<UserRow[]>(hub.api('GET', '/api/users'))
  assert.deepEqual(
    users.map(({ user, role, hasPassword }) => ({ user, role, hasPassword })),
    [{ user: 'owner', role: 'admin', hasPassword: false }],
  )
  for (const [method, path, body] of [
    ['DELETE', '/api/users/owner', undefined],
    ['PUT', '/api/users/owner/role', { role: 'viewer' }],
  ] as const) {
    const problem = await json<Problem>(hub.api(method, path, body))
    assert.equal(problem.code, 'conflict')
    assert.match(problem.detail, /last admin/)
  }
  // With a second admin the first may go, and links are then made for the second.
  await hub.api('POST', '/api/users', { user: 'anna', role: 'admin' })
  assert.equal((await hub.api('DELETE', '/api/users/owner')).status, 204)
  const link = await json<OneTimeLink>(hub.api('POST', '/api/sign-in-links'))
  assert.equal(link.user, 'anna')
})

test('an invited user chooses a password once, and comes in by it afterwards', wide, async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  const added = await hub.api('POST', '/api/users', {
    user: 'anna@plant.example',
    role: 'operator',
  })
  assert.equal(added.status, 201)
  const link = await json<OneTimeLink>(added)
  const again = await json<Problem>(
    hub.api('POST', '/api/users', { user: 'anna@plant.example', role: 'viewer' }),
  )
  assert.match(again.detail, /there is a user of that name/)

  const choose = (password: string) =>
    post(hub, '/api/session/by-password-link', { token: link.token, password })
  for (const [bad, why] of [
    ['short', /fewer than 12|must not have/],
    ['anna@plant.example!', /contains the user name/],
  ] as const) {
    const problem = await json<Problem>(choose(bad))
    assert.equal(problem.code, 'badRequest')
    assert.match(problem.detail, why)
  }
  // A password link is no sign-in link, and the other way round.
  assert.equal((await post(hub, '/api/session', { token: link.token })).status, 401)
  const signInToken = tokenOf(await hub.hub.signInLink())
  assert.equal(
    (
      await post(hub, '/api/session/by-password-link', {
        token: signInToken,
        password: testPassword,
      })
    ).status,
    401,
  )

  const chosen = await choose(testPassword)
  assert.deepEqual(await json<Session>(chosen).then(({ user, role }) => ({ user, role })), {
    user: 'anna@plant.example',
    role: 'operator',
  })
  assert.equal((await choose(testPassword)).status, 401, 'the link works once')
  const second = await byPassword(hub, 'Anna@Plant.example ', testPassword)
  assert.equal(second.status, 200)
  assert.match(second.headers.get('set-cookie') ?? '', /HttpOnly.*SameSite=Strict/)

  const late = await json<OneTimeLink>(
    hub.api('POST', '/api/users/anna@plant.example/password-links'),
  )
  now += 3 * dayMs
  const tooLate = { token: late.token, password: testPassword }
  assert.equal((await post(hub, '/api/session/by-password-link', tooLate)).status, 401)
})

test('a wrong password, an unknown user and a user without one sound the same', wide, async (t) => {
  const hub = await openTestHub(t)
  await hub.signIn('anna', 'viewer')
  const answers = await Promise.all(
    [
      ['anna', 'wrong password'],
      ['nobody', 'wrong password'],
      ['owner', 'wrong password'],
      ["' or 1=1 --", 'wrong password'],
    ].map(async ([user, password]) => {
      const reply = await byPassword(hub, user ?? '', password ?? '')
      return `${reply.status} ${(await json<Problem>(reply)).detail}`
    }),
  )
  assert.equal(new Set(answers).size, 1, answers.join('\n'))
  assert.match(answers[0] ?? '', /^401 .*user name or the password is wrong/)
})

test('guessing a password is slowed down more and more; the wait is named', wide, async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  await hub.signIn('anna', 'admin')
  const statuses: number[] = []
  for (let n = 0; n < 8; n++) {
    statuses.push((await byPassword(hub, 'anna', `guess number ${n}`)).status)
  }
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 401, 429, 429])
  const refused = await byPassword(hub, 'anna', testPassword)
  assert.equal(refused.status, 429, 'the right one is not looked at either')
  assert.equal(refused.headers.get('retry-after'), '1')
  now += 1001
  assert.equal((await byPassword(hub, 'anna', 'guess number 9')).status, 401)
  assert.equal((await byPassword(hub, 'anna', testPassword)).headers.get('retry-after'), '2')
  now += 2001
  assert.equal((await byPassword(hub, 'anna', testPassword)).status, 200)
})

test('another role or password, and removal, end what was signed in', wide, async (t) => {
  const hub = await openTestHub(t)
  const anna = await hub.signIn('anna', 'operator')
  assert.equal((await as(hub, anna, 'GET', '/api/session')).status, 200)
  await hub.api('PUT', '/api/users/anna/role', { role: 'viewer' })
  assert.equal((await as(hub, anna, 'GET', '/api/session')).status, 401)

  const first = browserOf(hub, await byPassword(hub, 'anna', testPassword))
  const other = browserOf(hub, await byPassword(hub, 'anna', testPassword))
  const wrong = { current: 'not the password', password: 'nine small boats' }
  assert.equal((await as(hub, first, 'PUT', '/api/password', wrong)).status, 401)
  const right = { current: testPassword, password: 'nine small boats' }
  const changed = await as(hub, first, 'PUT', '/api/password', right)
  assert.equal(changed.status, 200)
  const renewed = browserOf(hub, changed)
  for (const [who, status] of [
    [first, 401],
    [other, 401],
    [renewed, 200],
  ] as const) {
    assert.equal((await as(hub, who, 'GET', '/api/session')).status, status)
  }
  assert.equal((await byPassword(hub, 'anna', testPassword)).status, 401)

  await hub.api('DELETE', '/api/users/anna')
  assert.equal((await as(hub, renewed, 'GET', '/api/session')).status, 401)
  assert.equal((await byPassword(hub, 'anna', 'nine small boats')).status, 401)
})

test('everybody sees and ends their own sessions, an admin those of others', wide, async (t) => {
  const hub = await openTestHub(t)
  const anna = await hub.signIn('anna', 'viewer')
  const second = browserOf(hub, await byPassword(hub, 'anna', testPassword))
  const bert = await hub.signIn('bert', 'viewer')
  const mine = await json<SessionRow[]>(as(hub, anna, 'GET', '/api/sessions'))
  assert.deepEqual(mine.map(({ current }) => current).sort(), [false, true])
  assert.equal(mine[0]?.client, 'node')
  assert.equal(mine[0]?.address, '127.0.0.1')
  const elsewhere = mine.find(({ current }) => !current)?.sessionId ?? ''

  assert.equal((await as(hub, bert, 'GET', '/api/sessions?user=anna')).status, 403)
  assert.equal((await as(hub, bert, 'DELETE', `/api/sessions/${elsewhere}`)).status, 404)
  assert.equal((await as(hub, anna, 'DELETE', `/api/sessions/${elsewhere}`)).status, 204)
  assert.equal((await as(hub, second, 'GET', '/api/session')).status, 401)

  const left = await json<SessionRow[]>(hub.api('GET', '/api/sessions?user=anna'))
  assert.equal(left.length, 1)
  const ended = await json(hub.api('DELETE', '/api/users/anna/sessions'))
  assert.deepEqual(ended, { ended: 1 })
  assert.equal((await as(hub, anna, 'GET', '/api/session')).status, 401)
  assert.equal((await as(hub, bert, 'GET', '/api/session')).status, 200)
})

test('an API token acts with its role, is shown once, and ends', wide, async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  const anna = await hub.signIn('anna', 'operator')
  const make = (who: TestBrowser, body: object) => as(hub, who, 'POST', '/api/tokens', body)
  assert.equal((await make(anna, { name: 'too much', role: 'admin' })).status, 403)
  const made = await json<ApiTokenMade>(
    make(anna, { name: 'line reports', role: 'viewer', validDays: 2 }),
  )
  const withToken = (path: string, method = 'GET') =>
    fetch(hub.hub.urls.browser + path, {
      method,
      headers: { authorization: `Bearer ${made.token}` },
    })
  assert.deepEqual(
    await json<Session>(withToken('/api/session')).then(({ user, role }) => ({ user, role })),
    { user: 'anna', role: 'viewer' },
  )
  assert.equal((await withToken('/api/users')).status, 403)
  const listed = await as(hub, anna, 'GET', '/api/tokens')
  const text = await listed.text()
  assert.ok(!text.includes(made.token), 'the secret is in the list')
  const used = async () =>
    (await json<ApiTokenRow[]>(as(hub, anna, 'GET', '/api/tokens')))[0]?.lastUsedAt
  await t.waitFor(async () => assert.notEqual(await used(), null))

  const bert = await hub.signIn('bert', 'operator')
  assert.deepEqual(await json(as(hub, bert, 'GET', '/api/tokens')), [])
  const { tokenId } = made.apiToken
  assert.equal((await as(hub, bert, 'DELETE', `/api/tokens/${tokenId}`)).status, 404)
  now += 2 * dayMs
  assert.equal((await withToken('/api/session')).status, 401, 'after its end')
  now -= dayMs
  assert.equal((await withToken('/api/session')).status, 200)
  assert.equal((await hub.api('DELETE', `/api/tokens/${tokenId}`)).status, 204)
  assert.equal((await withToken('/api/session')).status, 401, 'revoked')
})

test('a token never does more than its user, and ends with the account', wide, async (t) => {
  const hub = await openTestHub(t)
  const anna = await hub.signIn('anna', 'admin')
  const made = await json<ApiTokenMade>(
    as(hub, anna, 'POST', '/api/tokens', { name: 'all', role: 'admin' }),
  )
  const withToken = (path: string) =>
    fetch(hub.hub.urls.browser + path, { headers: { authorization: `Bearer ${made.token}` } })
  assert.equal((await withToken('/api/users')).status, 200)
  await hub.api('PUT', '/api/users/anna/role', { role: 'viewer' })
  assert.equal((await withToken('/api/users')).status, 403)
  assert.equal((await withToken('/api/devices')).status, 200)
  await hub.api('DELETE', '/api/users/anna')
  assert.equal((await withToken('/api/devices')).status, 401)
})

test('a token that makes a token cannot outlive itself by it', wide, async (t) => {
  const hub = await openTestHub(t)
  const first = await json<ApiTokenMade>(
    hub.api('POST', '/api/tokens', { name: 'first', role: 'admin', validDays: 1 }),
  )
  const second = await json<ApiTokenMade>(
    fetch(`${hub.hub.urls.browser}/api/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${first.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'second', role: 'viewer' }),
    }),
  )
  assert.equal(second.apiToken.expiresAt, first.apiToken.expiresAt)
})

test('a token that may only look ends no session and makes no token', wide, async (t) => {
  const hub = await openTestHub(t)
  const anna = await hub.signIn('anna', 'admin')
  const [session] = await json<SessionRow[]>(as(hub, anna, 'GET', '/api/sessions'))
  const made = await json<ApiTokenMade>(
    as(hub, anna, 'POST', '/api/tokens', { name: 'looks', role: 'viewer' }),
  )
  const headers = { authorization: `Bearer ${made.token}`, 'content-type': 'application/json' }
  for (const [method, path, body] of [
    ['DELETE', `/api/sessions/${session?.sessionId}`, undefined],
    ['DELETE', `/api/tokens/${made.apiToken.tokenId}`, undefined],
    ['POST', '/api/tokens', { name: 'another', role: 'viewer' }],
    ['PUT', '/api/password', { password: 'nine small boats' }],
  ] as const) {
    const reply = await fetch(hub.hub.urls.browser + path, {
      method,
      headers: body ? headers : { authorization: headers.authorization },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    assert.equal(reply.status, 403, `${method} ${path}`)
  }
  assert.equal((await as(hub, anna, 'GET', '/api/session')).status, 200)
})

test('what another hub on the same store has ended is cut off here within seconds', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  const anna = await hub.signIn('anna', 'viewer')
  const changes = await as(hub, anna, 'GET', '/api/changes')
  await hub.inStore(({ writer }) => writer.deleteFrom('session').execute())
  for await (const chunk of changes.body ?? []) void chunk // until it ends
})

test('who loses the right to be here is cut off from what is open', wide, async (t) => {
  const hub = await openTestHub(t)
  const anna = await hub.signIn('anna', 'viewer')
  const changes = await as(hub, anna, 'GET', '/api/changes')
  const live = new WebSocket(`${hub.hub.urls.browser.replace('http', 'ws')}/api/live`, {
    headers: { ...anna },
  } as never)
  await new Promise((resolve, reject) => {
    live.addEventListener('open', resolve)
    live.addEventListener('error', reject)
  })
  const closed = new Promise<number>((resolve) =>
    live.addEventListener('close', ({ code }) => resolve(code)),
  )
  await hub.api('DELETE', '/api/users/anna')
  assert.equal(await closed, 1008)
  for await (const chunk of changes.body ?? []) void chunk // until it ends
})

test('passwords and tokens are not in the store', wide, async (t) => {
  const hub = await openTestHub(t, {}, Date.now, { safePasswords: true })
  const { cookie } = await hub.signIn('anna', 'viewer')
  const made = await json<ApiTokenMade>(
    hub.api('POST', '/api/tokens', { name: 'n', role: 'viewer' }),
  )
  const link = await json<OneTimeLink>(hub.api('POST', '/api/users/anna/password-links'))
  const kept = await hub.inStore(async ({ reader }) =>
    JSON.stringify([
      await reader.selectFrom('account').selectAll().execute(),
      await reader.selectFrom('sign_in_token').selectAll().execute(),
      await reader.selectFrom('session').selectAll().execute(),
      await reader.selectFrom('api_token').selectAll().execute(),
    ]),
  )
  assert.match(kept, /scrypt\$ln=15/)
  for (const secret of [testPassword, made.token, link.token, cookie.split('=')[1] ?? '?']) {
    assert.ok(!kept.includes(secret))
  }
})

const byPassword = (hub: TestHub, user: string, password: string): Promise<Response> =>
  post(hub, '/api/session/by-password', { user, password })

const post = ({ hub }: TestHub, path: string, body: object): Promise<Response> =>
  fetch(hub.urls.browser + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

const as = (
  { hub }: TestHub,
  headers: TestBrowser,
  method: string,
  path: string,
  body?: object,
): Promise<Response> =>
  fetch(hub.urls.browser + path, {
    method,
    headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })

const browserOf = ({ hub }: TestHub, reply: Response): TestBrowser => ({
  cookie: cookieOf(reply),
  origin: hub.urls.browser,
})

async function json<T>(reply: Promise<Response> | Response): Promise<T> {
  return (await (await reply).json()) as T
}
