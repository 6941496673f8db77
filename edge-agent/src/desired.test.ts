import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Desired } from '@edgeloop/protocol'
import { checkDesired, readDesired, writeDesired } from './desired.ts'

const desired: Desired = {
  version: 3,
  at: '2026-01-02T03:04:05.006Z',
  config: { streams: [{ streamId: 'gate', source: 'rtsp://camera/1' }] },
}

test('checkDesired() gives a good wish back and names what is wrong with a bad one', () => {
  assert.deepEqual(checkDesired(desired, 4), desired)
  const [stream] = desired.config.streams
  const wish = (streams: unknown[]) => ({ ...desired, config: { streams } })
  const misspelt = wish([{ streamId: 'gate', source: 'x', analysisFsp: 3 }])
  assert.throws(() => checkDesired(misspelt, 4), {
    message:
      'Cannot read desired configuration: /config/streams/0 has the unknown key "analysisFsp"; did you mean "analysisFps"?',
  })
  assert.throws(() => checkDesired(wish([stream, stream]), 4), {
    message: 'Cannot take desired configuration: stream "gate" is there twice',
  })
  const lines = [
    {
      name: 'door',
      points: [
        [0, 0],
        [0, 0],
      ],
    },
  ]
  assert.throws(() => checkDesired(wish([{ ...stream, lines }]), 4), {
    message:
      'Cannot take desired configuration: /streams/0/lines/0/points has point 1 twice, at 0, 0',
  })
  const polygon = [
    [0, 0],
    [1, 0],
    [1, 1],
  ]
  const masked = { ...stream, clips: {}, masks: [{ name: 'yard', polygon }] }
  assert.throws(() => checkDesired(wish([masked]), 4), {
    message:
      'Cannot take desired configuration: /streams/0/clips cannot be recorded with masks: a clip is what the camera sent, and nothing in it can be blanked; remove the masks or the clips',
  })
  assert.ok(checkDesired(wish([{ ...masked, masks: [] }]), 4))
  assert.throws(() => checkDesired(wish([stream, { ...stream, streamId: 'b' }]), 1), {
    message: 'Cannot take desired configuration: 2 streams, this device runs at most 1',
  })
})

test('writeDesired() keeps the wish whole, readDesired() refuses a damaged one', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-desired-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'desired.json')
  assert.equal(await readDesired(file, 4), undefined)
  await writeDesired(file, desired)
  await writeDesired(file, { ...desired, version: 4 })
  assert.equal((await readDesired(file, 4))?.version, 4)
  assert.deepEqual(await readdir(folder), ['desired.json'], 'no partial file is left')
  await writeFile(file, '{"version": 4, "at"')
  await assert.rejects(readDesired(file, 4), /^Misfit: Cannot read desired configuration: not JSON/)
})
