import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStoreAddress } from './store-address.ts'

const standard = '/data/hub.db'

test('parseStoreAddress() takes nothing, a path and PostgreSQL, and shows no password', () => {
  assert.equal(parseStoreAddress('', standard).shown, standard)
  assert.equal(parseStoreAddress('/other/hub.db', standard).shown, '/other/hub.db')
  assert.equal(parseStoreAddress('sqlite:/other/hub.db', standard).shown, '/other/hub.db')
  const address = parseStoreAddress('postgres://me:s3cr@t/x@db:5433/edgeloop', standard)
  assert.equal(address.kind, 'postgres')
  assert.equal(address.shown, 'postgres://me:***@db:5433/edgeloop')
  const socket = parseStoreAddress('postgresql:///edgeloop?host=/run/postgresql', standard)
  assert.equal(socket.shown, 'postgresql:///edgeloop?host=/run/postgresql')
})

test('parseStoreAddress() verifies the certificate wherever there is one', () => {
  for (const mode of ['require', 'verify-ca', 'verify-full']) {
    const address = parseStoreAddress(`postgres://me@db/edgeloop?sslmode=${mode}`, standard)
    assert.match((address as { url: string }).url, /sslmode=verify-full$/)
  }
  assert.throws(
    () => parseStoreAddress('postgres://me:secret@db/edgeloop?sslmode=prefer', standard),
    /Cannot use sslmode "prefer" .*postgres:\/\/me:\*\*\*@db.*verify-full/,
  )
})

test('parseStoreAddress() refuses what it does not know, and names what is near', () => {
  assert.throws(
    () => parseStoreAddress('postgres://me:secret@db/edgeloop?sslmod=require', standard),
    /"sslmod".*did you mean "sslmode"\?/,
  )
  assert.throws(
    () => parseStoreAddress('mysql://me:secret@db/edgeloop', standard),
    /"mysql:\/\/me:\*\*\*@db\/edgeloop": "mysql:" is no kind of store/,
  )
  assert.throws(() => parseStoreAddress('postgres://me:secret@db:port/x', standard), /%XX/)
})
