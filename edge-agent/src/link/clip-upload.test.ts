/** Clips on their way to the hub, against a hub of which only the answers matter. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { clipPartBytes } from '@edgeloop/protocol'
import { pino } from 'pino'
import { ClipUpload } from './clip-upload.ts'
import type { PutResult } from './device-https.ts'
import { openUploadBudget } from './upload-budget.ts'

const soon = { timeout: 10_000, interval: 10 }
const [here, away] = ['a'.repeat(64), 'b'.repeat(64)]

/** An upload of one clip of two parts and a bit; `answer` is what the hub says to the nth request. */
async function openUpload(
  t: TestContext,
  answer: (nth: number, from: number, bytes: Uint8Array) => PutResult,
) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clip-upload-'))
  const file = join(folder, 'clip.mp4')
  const video = randomBytes(2 * clipPartBytes + 100)
  await writeFile(file, video)
  const sent: { path: string; bytes: Buffer }[] = []
  const kept: [string, boolean][] = []
  const stop = new AbortController()
  const upload = new ClipUpload({
    clips: {
      find: (digest) => (digest === here ? { file, sizeBytes: video.length } : undefined),
      keep: async (digest, isKept) => kept.push([digest, isKept]) > 0,
    },
    https: {
      put: async (path, _type, bytes) => {
        sent.push({ path, bytes: Buffer.from(bytes) })
        return answer(sent.length, Number(path.split('/').at(-1)), bytes)
      },
    },
    budget: openUploadBudget(0),
    turn: async () => {},
    random: () => 0,
    log: pino({ level: 'silent' }),
    signal: stop.signal,
  })
  const running = upload.run()
  t.after(async () => {
    stop.abort()
    await running
    await rm(folder, { recursive: true })
  })
  const ask = (act: 'send' | 'keep' | 'release', ...clips: string[]) => upload.take({ act, clips })
  return { ask, sent, kept, video, froms: () => sent.map(({ path }) => path.split('/').at(-1)) }
}

const received = (receivedBytes: number): PutResult => ({
  kind: 'stored',
  answer: JSON.stringify({ receivedBytes }),
})

test('a clip goes in parts, and the hub says where the next one begins', async (t) => {
  const { ask, sent, video, froms } = await openUpload(t, (_, from, { length }) =>
    received(from + length),
  )
  ask('send', here)
  ask('send', here)
  await t.waitFor(() => assert.equal(sent.length, 3), soon)
  assert.deepEqual(froms(), ['0', String(clipPartBytes), String(2 * clipPartBytes)])
  assert.ok(Buffer.concat(sent.map(({ bytes }) => bytes)).equals(video))
  // What is asked for while it is still on its way is sent once; asked for later, it is sent again.
  await t.waitFor(() => {
    if (sent.length === 3) ask('send', here)
    assert.equal(sent.length, 6)
  }, soon)
})

test('after a cut it goes on where the hub is, and a part that was not taken is sent again', async (t) => {
  const later: PutResult = { kind: 'later', why: 'the connection was cut' }
  const { ask, sent, froms } = await openUpload(t, (nth, from, { length }) => {
    if (nth === 1) return received(clipPartBytes)
    return nth === 2 ? later : received(from + length)
  })
  ask('send', here)
  await t.waitFor(() => assert.equal(sent.length, 4), soon)
  const [one, two] = [String(clipPartBytes), String(2 * clipPartBytes)]
  assert.deepEqual(froms(), ['0', one, one, two])
})

test('a hub that never has more of it is not sent it for ever', async (t) => {
  const { ask, sent } = await openUpload(t, () => received(0))
  ask('send', here, away)
  await t.waitFor(() => assert.match(sent.at(-1)?.path ?? '', /gone$/), soon)
  assert.equal(sent.length, 10)
})

test('what nobody waits for any more is left, and the next clip has its turn', async (t) => {
  const unknown: PutResult = { kind: 'later', why: 'nobody waits for it', isUnknown: true }
  const { ask, sent } = await openUpload(t, (nth) => (nth === 1 ? unknown : { kind: 'stored' }))
  ask('send', here, away)
  await t.waitFor(() => assert.equal(sent.length, 2), soon)
  assert.equal(sent[1]?.path, `/clips/${away}/gone`, 'which has given way')
})

test('clips are kept and released as the hub says', async (t) => {
  const { ask, sent, kept } = await openUpload(t, () => assert.fail('nothing is to be sent'))
  ask('keep', here, away)
  ask('release', away)
  assert.deepEqual(kept, [
    [here, true],
    [away, true],
    [away, false],
  ])
  assert.equal(sent.length, 0)
})
