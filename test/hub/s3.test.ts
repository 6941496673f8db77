/** A whole hub that keeps its pictures in an S3 server, which goes away and comes back. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Problem } from '@edgeloop/protocol'
import { startS3 } from '../s3/s3.ts'
import { openTestHub } from './fixture.ts'

test('pictures are kept in S3, refused while it is away, taken when it is back; its key is told nobody', async (t) => {
  const s3 = await startS3(t)
  let logged = ''
  const logTo = {
    write: (line: string) => {
      logged += line
    },
  }
  const blobs = { url: s3.url, ...s3.credentials }
  const hub = await openTestHub(t, { blobs }, Date.now, { logTo })
  const device = await hub.enrol('gate')
  const picture = (fill: number) =>
    Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(5000, fill)])
  const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const put = (bytes: Buffer) => device.put(`/blobs/${digestOf(bytes)}`, 'image/jpeg', bytes)
  const get = async (bytes: Buffer) => await hub.api('GET', `/api/blobs/${digestOf(bytes)}`)

  assert.equal((await put(picture(1))).status, 204)
  assert.deepEqual(Buffer.from(await (await get(picture(1))).arrayBuffer()), picture(1))
  assert.equal((await get(picture(9))).status, 404)
  await s3.kill()
  const refused = await put(picture(2))
  assert.equal(refused.status, 503)
  assert.equal((JSON.parse(refused.text) as Problem).code, 'unavailable')
  assert.equal((await get(picture(1))).status, 503)
  await s3.start()
  assert.equal((await put(picture(2))).status, 204)
  assert.deepEqual(Buffer.from(await (await get(picture(1))).arrayBuffer()), picture(1))
  await s3.damage(digestOf(picture(2)))
  assert.equal((await get(picture(2))).status, 500, 'changed bytes are shown to nobody')
  assert.match(logged, /have changed in S3/)
  assert.ok(!logged.includes(s3.credentials.secretAccessKey))
})
