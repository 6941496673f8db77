/** People's listener beyond the machine itself: TLS with the hub's own CA or a given certificate. */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent as HttpsAgent } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as x509 from '@peculiar/x509'
import { Agent, fetch } from 'undici'
import { WebSocket } from 'ws'
import { openTestHub, tokenOf } from './fixture.ts'

const program = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
const wide = { timeout: 120_000 }
// Any address of this machine that is not loopback will do: it is listened on, and never spoken to.
const everywhere = { host: '0.0.0.0', port: 0 }

test(
  'on another address people come by TLS of the hub’s own CA, with cookies that never leave it',
  wide,
  async (t) => {
    const hub = await openTestHub(t, { browser: everywhere, publicHost: 'hub.test' })
    const { browser } = hub.hub.urls
    assert.match(browser, /^https:\/\/hub\.test:\d+$/)
    const ca = await readFile(hub.hub.caFile, 'utf8')
    const { port } = new URL(browser)
    const ours = new Agent({ connect: { ca, servername: 'hub.test' } })
    t.after(() => ours.close())
    const base = `https://127.0.0.1:${port}`
    const origin = base
    const signedIn = await fetch(`${base}/api/session`, {
      method: 'POST',
      dispatcher: ours,
      headers: { 'content-type': 'application/json', origin },
      body: JSON.stringify({ token: tokenOf(await hub.hub.signInLink()) }),
    })
    assert.equal(signedIn.status, 200)
    const cookie = signedIn.headers.get('set-cookie') ?? ''
    assert.match(cookie, /^__Host-edgeloop_session=/)
    for (const part of ['Secure', 'HttpOnly', 'SameSite=Strict', 'Path=/']) {
      assert.ok(cookie.includes(part), `${part} in ${cookie}`)
    }
    assert.doesNotMatch(cookie, /Domain/i)
    assert.equal(signedIn.headers.get('strict-transport-security'), null)
    const session = cookie.split(';')[0] ?? ''
    const asked = await fetch(`${base}/api/session`, {
      dispatcher: ours,
      headers: { cookie: session },
    })
    assert.equal(asked.status, 200)
    // The cookie of the plain listener is none here.
    const plain = session.replace('__Host-', '')
    const other = await fetch(`${base}/api/session`, {
      dispatcher: ours,
      headers: { cookie: plain },
    })
    assert.equal(other.status, 401)

    const live = new WebSocket(`wss://127.0.0.1:${port}/api/live`, {
      agent: new HttpsAgent({ ca, servername: 'hub.test' }),
      headers: { cookie: session, origin },
    })
    await once(live, 'open')
    live.terminate()

    await assert.rejects(fetch(`${base}/api/health`), 'nobody else trusts this certificate')
    const spoken = await plainHttp(Number(port))
    assert.doesNotMatch(spoken, /200 OK|devicesOnline/, 'plain HTTP gets no answer')
  },
)

test('with a given certificate browsers are told to insist on TLS', wide, async (t) => {
  const folder = await temporary(t)
  const { cert, key, pem } = await selfSigned(folder)
  const hub = await openTestHub(t, {
    browser: { port: 0, tlsCert: cert, tlsKey: key },
    publicHost: 'hub.test',
  })
  const { port } = new URL(hub.hub.urls.browser)
  const ours = new Agent({ connect: { ca: pem, servername: 'hub.test' } })
  t.after(() => ours.close())
  for (const path of ['/api/health', '/api/nothing', '/']) {
    const reply = await fetch(`https://127.0.0.1:${port}${path}`, { dispatcher: ours })
    await reply.text()
    assert.match(reply.headers.get('strict-transport-security') ?? '', /max-age=\d{7,}/, path)
  }
})

test('a certificate that cannot be used is named before anything listens', wide, async (t) => {
  const folder = await temporary(t)
  const first = await selfSigned(folder)
  const second = await selfSigned(await temporary(t))
  const open = (tlsCert: string, tlsKey: string) =>
    openTestHub(t, { browser: { port: 0, tlsCert, tlsKey } })
  await assert.rejects(
    open(join(folder, 'none.crt'), first.key),
    /Cannot use --tls-cert ".*none\.crt": there is no such file/,
  )
  await assert.rejects(
    open(first.cert, second.key),
    /Cannot use --tls-cert .* with --tls-key .*key values mismatch/,
  )
})

test('the command line talks to it by the CA that it pins', wide, async (t) => {
  const hub = await openTestHub(t, { browser: everywhere, publicHost: '127.0.0.1.nip.test' })
  // The certificate also stands for this machine.
  const url = `https://localhost:${new URL(hub.hub.urls.browser).port}`
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const run = (args: string[], env: Record<string, string> = {}) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        [program, 'device', 'list', '--json', ...args],
        { env: { ...process.env, EDGELOOP_TOKEN: token, ...env } },
        (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }),
      )
    })
  const { caFile } = hub.hub
  assert.equal((await run(['--hub', url, '--ca', caFile])).stderr, '')
  assert.equal((await run(['--hub', url], { EDGELOOP_CA: caFile })).code, 0)
  const untrusted = await run(['--hub', url])
  assert.equal(untrusted.code, 1)
  assert.match(untrusted.stderr, /certificate.*\nhint: .*--ca FILE/)
  const elsewhere = await openTestHub(t)
  const wrong = await run(['--hub', url, '--ca', elsewhere.hub.caFile])
  assert.equal(wrong.code, 1, 'another hub’s CA')
  const missing = await run(['--hub', url, '--ca', '/nowhere/ca.crt'])
  assert.match(
    missing.stderr,
    /Cannot use the CA certificate "\/nowhere\/ca\.crt": there is no such/,
  )
  // By default address and CA are what the running hub wrote beside its data.
  const data = await temporary(t)
  const { mkdir } = await import('node:fs/promises')
  await mkdir(join(data, 'hub'))
  await writeFile(join(data, 'hub', 'address.json'), JSON.stringify({ url, ca: caFile }))
  assert.equal((await run(['--data', data])).code, 0)
})

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-tls-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function selfSigned(folder: string): Promise<{ cert: string; key: string; pem: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['hub.test'] }],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'hub.test' }])],
  })
  const pem = certificate.toString('pem')
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const files = { cert: join(folder, 'hub.crt'), key: join(folder, 'hub.key') }
  await writeFile(files.cert, pem)
  await writeFile(files.key, x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'))
  return { ...files, pem }
}

/** What a client hears that speaks HTTP without TLS. */
async function plainHttp(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.write('GET /api/health HTTP/1.1\r\nhost: hub.test\r\n\r\n')
  await once(socket, 'close')
  return text
}
