/** Token and certificate of the local surface outlive a restart, and are replaced where they must. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readCertificate, readToken } from './secrets.ts'

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-secrets-'))
  t.after(() => rm(folder, { recursive: true }))
  return join(folder, 'local')
}

test('readToken() makes a token once, and refuses a weak one', async (t) => {
  const folder = await folderFor(t)
  const { file, token } = await readToken(folder)
  assert.match(token, /^[\w-]{43}$/)
  assert.deepEqual(await readToken(folder), { file, token })
  for (const weak of ['', 'secret', 'a b'.repeat(20)]) {
    await writeFile(file, weak)
    await assert.rejects(readToken(folder), /Cannot use ".*token": expected 32 letters, digits/)
  }
})

test('readCertificate() makes one for its host, and another when it ends or the host is another', async (t) => {
  const folder = await folderFor(t)
  const now = Date.UTC(2026, 0, 1)
  const first = await readCertificate(folder, '192.168.1.7', now)
  assert.equal((await stat(join(folder, 'key.pem'))).mode & 0o777, 0o600)
  const certificate = new X509Certificate(first.cert)
  assert.ok(certificate.checkIP('192.168.1.7') && certificate.checkHost('localhost'))
  assert.ok(certificate.verify(certificate.publicKey))
  assert.deepEqual(await readCertificate(folder, '192.168.1.7', now), first)
  const other = await readCertificate(folder, 'box.example.org', now)
  assert.ok(new X509Certificate(other.cert).checkHost('box.example.org'))
  const later = await readCertificate(folder, 'box.example.org', Date.UTC(2036, 0, 1))
  assert.notEqual(later.cert, other.cert)
  await writeFile(later.file, 'no certificate')
  const healed = await readCertificate(folder, 'box.example.org', now)
  assert.ok(new X509Certificate(healed.cert).checkHost('box.example.org'))
})
