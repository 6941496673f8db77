/** What pages of other sites, guessed paths and disguised bytes can do to the browser listener: nothing. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ApiTokenMade, type OneTimeLink, type Problem, topicFor } from '@edgeloop/protocol'
import {
  cookieOf,
  openTestHub,
  type TestDevice,
  type TestHub,
  testPassword,
  tokenOf,
} from './fixture.ts'

const wide = { timeout: 60_000 }

test('a request that changes something must come from a page of this hub', wide, async (t) => {
  const hub = await openTestHub(t)
  const { browser } = hub.hub.urls
  const anna = await hub.signIn('anna', 'admin')
  const json = { 'content-type': 'application/json' }
  const add = (headers: Record<string, string>, body = '{"user":"mallory","role":"admin"}') =>
    fetch(`${browser}/api/users`, { method: 'POST', headers, body })
  const { cookie } = anna
  const foreign: [string, Record<string, string>, string?][] = [
    ['a page of another site', { ...json, cookie, origin: 'https://evil.example' }],
    ['a page in a sandbox', { ...json, cookie, origin: 'null' }],
    ['a name that begins like ours', { ...json, cookie, origin: `${browser}.evil.example` }],
    ['another port of this machine', { ...json, cookie, origin: 'http://localhost:1' }],
    ['a session without a word of where from', { ...json, cookie }],
    ['what the browser calls cross-site', { ...json, ...anna, 'sec-fetch-site': 'cross-site' }],
    ['a neighbour of the same site', { ...json, ...anna, 'sec-fetch-site': 'same-site' }],
    [
      'a form of another site',
      {
        'content-type': 'application/x-www-form-urlencoded',
        cookie,
        origin: 'https://evil.example',
      },
      'user=mallory&role=admin',
    ],
    ['a form with text in it', { 'content-type': 'text/plain', cookie, origin: 'null' }],
  ]
  for (const [what, headers, body] of foreign) {
    const problem = (await (await add(headers, body)).json()) as Problem
    assert.equal(problem.code, 'foreignOrigin', what)
  }
  // From our own page, what a form could send is not taken for JSON either.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    assert.equal((await add({ ...anna, 'content-type': type })).status, 415, type)
  }
  // No foreign page can set this header: the origin of a program is not asked.
  const made = (await (
    await hub.api('POST', '/api/tokens', { name: 'p', role: 'admin' })
  ).json()) as ApiTokenMade
  const authorization = `Bearer ${made.token}`
  const withToken = await add({ ...json, authorization, origin: 'https://other.example' })
  assert.equal(withToken.status, 201)
  // A bad token beside a good cookie is a bad token.
  const both = await add({ ...json, ...anna, authorization: 'Bearer wrong' })
  assert.equal(both.status, 401)
  assert.equal((await add({ ...json, ...anna }, '{"user":"bert","role":"viewer"}')).status, 201)
})

test('signing in from a page of another site is refused too', wide, async (t) => {
  const hub = await openTestHub(t)
  await hub.signIn('anna', 'viewer')
  const signIn = (origin: string) =>
    fetch(`${hub.hub.urls.browser}/api/session/by-password`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin },
      body: JSON.stringify({ user: 'anna', password: testPassword }),
    })
  assert.equal((await signIn('https://evil.example')).status, 403)
  assert.equal((await signIn(hub.hub.urls.browser)).status, 200)
})

test(
  'every reply carries the security headers, also refusals, files and what cannot be read',
  wide,
  async (t) => {
    const dashboardDir = await dashboardWith(t, { 'assets/main-abc123.js': 'export {}' })
    const hub = await openTestHub(t, { dashboardDir })
    const { browser, device } = hub.hub.urls
    const gate = await hub.enrol('gate')
    const digest = await snapshot(gate)
    const stop = new AbortController()
    const replies = await Promise.all([
      fetch(`${browser}/`, { headers: { accept: 'text/html' } }),
      fetch(`${browser}/assets/main-abc123.js`),
      fetch(`${browser}/assets/gone.js`),
      fetch(`${browser}/api/health`),
      fetch(`${browser}/api/devices`),
      fetch(`${browser}/api/nothing`),
      fetch(`${browser}/%zz`),
      fetch(`${browser}/api/session`, { method: 'POST', body: 'x' }),
      fetch(`${browser}/api/users`, {
        method: 'POST',
        headers: { origin: 'https://evil.example' },
      }),
      fetch(`${browser}/api/live`),
      fetch(`${browser}/api/health`, { method: 'OPTIONS' }),
      hub.api('GET', `/api/blobs/${digest}`),
      hub.api('GET', '/metrics'),
      fetch(`${browser}/api/changes`, {
        headers: { cookie: (await hub.signIn('anna', 'viewer')).cookie },
        signal: stop.signal,
      }),
    ])
    for (const { url, status, headers } of replies) {
      assertGuarded((name) => headers.get(name), `${status} ${url}`)
      assert.equal(headers.get('strict-transport-security'), null, 'plain HTTP promises no TLS')
    }
    stop.abort()
    const unreadable = await raw(browser, 'GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n')
    const tooLong = await raw(
      browser,
      `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(90_000)}\r\n\r\n`,
    )
    assert.match(unreadable, /^HTTP\/1\.1 400 /)
    assert.match(tooLong, /^HTTP\/1\.1 431 /)
    for (const text of [unreadable, tooLong]) {
      assertGuarded((name) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1], text)
    }
    const refused = await fetch(`${device.replace('https', 'http')}/`).catch(() => undefined)
    assert.equal(refused, undefined, 'the device listener speaks TLS only')
  },
)

test('no path leads out of the dashboard’s folder or of the blobs', wide, async (t) => {
  const dashboardDir = await dashboardWith(t, {
    'assets/main-abc123.js': 'export {}',
    '.env': 'SECRET=1',
  })
  const outside = await mkdtemp(join(tmpdir(), 'edgeloop-outside-'))
  t.after(() => rm(outside, { recursive: true, force: true }))
  await writeFile(join(outside, 'secret.js'), 'SECRET=2')
  await symlink(join(outside, 'secret.js'), join(dashboardDir, 'assets', 'link-abc123.js'))
  await symlink(outside, join(dashboardDir, 'folder'))
  const hub = await openTestHub(t, { dashboardDir })
  const digest = 'ab'.padEnd(64, '0')
  await mkdir(join(hub.dataDir, 'blobs', 'ab'), { recursive: true })
  await symlink(join(outside, 'secret.js'), join(hub.dataDir, 'blobs', 'ab', digest))
  const paths = [
    '/../hub.db',
    '/..%2f..%2fetc%2fpasswd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/%252e%252e%252fetc%252fpasswd',
    '/assets/..%2f..%2f..%2fetc%2fpasswd',
    '/assets/..%5c..%5cetc%5cpasswd',
    '/assets/%2e%2e%2f.env',
    '/assets/link-abc123.js',
    '/folder/secret.js',
    '/.env',
    '/assets//etc/passwd',
    '/assets/main-abc123.js%00.html',
    '//etc/passwd',
    `/api/blobs/${digest}`,
    '/api/blobs/..%2f..%2fhub.db',
    '/api/blobs/%2e%2e%2flocal-token',
    '/api/blobs/..%2flocal-token%00',
    `/api/blobs/${'0'.repeat(63)}%2f`,
  ]
  for (const path of paths) {
    const { status, text } = await rawGet(hub, path)
    assert.ok(status >= 400, `${path} answered ${status}`)
    assert.doesNotMatch(text, /SECRET|root:|SQLite/, path)
  }
  assert.equal((await rawGet(hub, '/assets/main-abc123.js')).status, 200)
})

test('only JPEG is taken as a snapshot, and it is served as nothing else', wide, async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const html = Buffer.from('<script>alert(1)</script>')
  const digest = createHash('sha256').update(html).digest('hex')
  for (const [type, status] of [
    ['text/html', 415],
    ['image/svg+xml', 415],
    ['image/jpeg', 415], // says JPEG, and is none
    ['image/jpeg; charset=text/html', 415],
    ['', 415],
  ] as const) {
    assert.equal((await gate.put(`/blobs/${digest}`, type, html)).status, status, type)
  }
  // A JPEG with a script in it stays a JPEG, whatever the browser asks for.
  const disguised = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), html])
  const name = createHash('sha256').update(disguised).digest('hex')
  assert.equal((await gate.put(`/blobs/${name}`, 'image/jpeg', disguised)).status, 204)
  const token = { accept: 'text/html' }
  const session = await hub.signIn('anna', 'viewer')
  const shown = await fetch(`${hub.hub.urls.browser}/api/blobs/${name}`, {
    headers: { ...session, ...token },
  })
  assert.equal(shown.headers.get('content-type'), 'image/jpeg')
  assert.equal(shown.headers.get('x-content-type-options'), 'nosniff')
  assert.match(shown.headers.get('content-security-policy') ?? '', /script-src 'self'/)
})

test('no secret of a whole story is in the log', wide, async (t) => {
  let log = ''
  const hub = await openTestHub(t, {}, Date.now, {
    logTo: {
      write: (line) => {
        log += line
      },
    },
  })
  const { browser } = hub.hub.urls
  const signInToken = tokenOf(await hub.hub.signInLink())
  const json = { 'content-type': 'application/json' }
  // Tokens where they belong, and where people put them by mistake.
  await fetch(`${browser}/?token=${signInToken}`, { headers: { accept: 'text/html' } })
  await fetch(`${browser}/api/devices?token=${signInToken}`)
  await fetch(`${browser}/api/nothing/${signInToken}`)
  const entered = await fetch(`${browser}/api/session`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ token: signInToken }),
  })
  const invited = await hub.api('POST', '/api/users', { user: 'anna', role: 'operator' })
  const { token: invitation } = (await invited.json()) as OneTimeLink
  await fetch(`${browser}/api/session/by-password-link`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ token: invitation, password: testPassword }),
  })
  await fetch(`${browser}/api/session/by-password`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ user: 'anna', password: `${testPassword} almost` }),
  })
  const made = (await (
    await hub.api('POST', '/api/tokens', { name: 'p', role: 'viewer' })
  ).json()) as ApiTokenMade
  const gate = await hub.enrol('gate')
  const client = await gate.connect()
  await client.subscribeAsync(topicFor('desired', gate))
  await hub.api('POST', '/api/devices/gate/streams', {
    streamId: 'door',
    source: 'rtsp://viewer:camera-secret@10.0.0.9/1',
  })
  await hub.api('POST', '/api/telemetry', {
    exceptions: [{ type: 'Error', value: 'a page failed' }],
    meta: { page: { url: `${browser}/#token=${signInToken}` } },
  })
  await client.publishAsync(topicFor('events', gate), '{"password":"camera-secret"', { qos: 1 })
  await hub.close()
  assert.ok(log.split('\n').length > 10, 'there is a log')
  const { readFile } = await import('node:fs/promises')
  const secrets = {
    'the sign-in token': signInToken,
    'the invitation': invitation,
    'a password': testPassword,
    'a session': cookieOf(entered).split('=')[1] ?? '?',
    'an API token': made.token,
    'the token of the machine': (await readFile(hub.hub.localTokenFile, 'utf8')).trim(),
    'a password of a camera': 'camera-secret',
  }
  for (const [what, secret] of Object.entries(secrets)) {
    assert.ok(secret.length > 8 && !log.includes(secret), `${what} is in the log`)
  }
})

function assertGuarded(header: (name: string) => string | null | undefined, what: string): void {
  assert.match(header('content-security-policy') ?? '', /default-src 'self'.*frame-ancestors/, what)
  assert.equal(header('x-content-type-options')?.trim(), 'nosniff', what)
  assert.equal(header('referrer-policy')?.trim(), 'no-referrer', what)
}

async function dashboardWith(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-dashboard-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'assets'))
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>the page</title>')
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

async function snapshot(device: TestDevice): Promise<string> {
  const bytes = Buffer.from([0xff, 0xd8, 0xff, 0xd9])
  const digest = createHash('sha256').update(bytes).digest('hex')
  assert.equal((await device.put(`/blobs/${digest}`, 'image/jpeg', bytes)).status, 204)
  return digest
}

/** Sends bytes as they are, and gives what comes back. */
async function raw(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), 'localhost')
  socket.on('error', () => {})
  socket.write(bytes)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await once(socket, 'close')
  return text
}

/** A GET whose path nobody has tidied up on the way, by the machine's owner. */
async function rawGet(hub: TestHub, path: string): Promise<{ status: number; text: string }> {
  const { readFile } = await import('node:fs/promises')
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const { port } = new URL(hub.hub.urls.browser)
  const sent = request({ host: 'localhost', port, path, agent: false })
  sent.setHeader('authorization', `Bearer ${token}`)
  sent.end()
  const [reply] = await once(sent, 'response')
  let text = ''
  for await (const chunk of reply) text += chunk
  return { status: reply.statusCode, text }
}
