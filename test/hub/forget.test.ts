/** What a stream showed is forgotten, with what is said of it before; and samples that are older than they are kept go. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ForgetAffected, type Retention, topicFor } from '@edgeloop/protocol'
import { runCommand } from './command.ts'
import { offer, offerOf, putAll, type TakenPicture, takePicture } from './field-box.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'
import { seedVersions } from './seeded-runs.ts'

const dayMs = 86_400_000
const json = async <T>(hub: TestHub, method: string, path: string, body?: object): Promise<T> => {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

async function sendOne(
  device: TestDevice,
  seed: number,
  more: Parameters<typeof offerOf>[2],
): Promise<TakenPicture> {
  const picture = await takePicture(seed, 64, 48)
  const { answers } = await offer(device, [offerOf(device, picture, more)])
  assert.deepEqual(
    answers.map(({ act }) => act),
    ['send'],
  )
  assert.equal((await putAll(device, picture)).status, 200)
  return picture
}

/** A dataset with one sample. */
async function addTo(hub: TestHub, name: string, { digest, width, height }: TakenPicture) {
  await json(hub, 'POST', '/api/datasets', { name, labels: ['cup'] })
  const annotations = [{ kind: 'box', label: 'cup', box: [0.1, 0.1, 0.5, 0.5] }]
  const samples = [{ digest, name: 'one', width, height, annotations }]
  await json(hub, 'PUT', `/api/datasets/${name}/samples`, { samples })
}

/** A version as freezing leaves it, and a model that learned from it, and one that learned on from that. */
async function learnFrom(hub: TestHub, dataset: string, { digest }: TakenPicture): Promise<void> {
  const list = `${JSON.stringify({ labels: ['cup'] })}\n${JSON.stringify({ digest, name: 'one' })}\n`
  const { digestOf, only } = await import('../../cloud-hub/src/blobs/bytes.ts')
  const { openFolderBlobs } = await import('../../cloud-hub/src/blobs/folder-blobs.ts')
  const bytes = Buffer.from(list)
  const files = await openFolderBlobs(join(hub.dataDir, 'samples'))
  await files.put(digestOf(bytes), only(bytes), { bytesMax: 10_000 })
  await hub.inStore(({ writer }) =>
    writer
      .insertInto('dataset_version')
      .values({
        dataset,
        version: 1,
        digest: digestOf(bytes),
        split_digest: digestOf(bytes),
        labels: '["cup"]',
        samples: 1,
        split: '{}',
        inspection: '',
        note: '',
        revision: 1,
        author: 'ada',
        created_at: 1,
      })
      .execute(),
  )
  await seedVersions(hub, 'cups', 3)
  const lineage = (parent: string, name: string) =>
    JSON.stringify({ runId: randomUUID(), dataset: { name, version: 1 }, parent })
  for (const [version, text] of [
    [1, lineage('new:lenet', dataset)],
    [2, lineage('cups/1', 'others')],
    [3, lineage('new:lenet', 'others')],
  ] as const) {
    await hub.inStore(({ writer }) =>
      writer
        .updateTable('model_version')
        .set({ lineage: text })
        .where('version', '=', version)
        .execute(),
    )
  }
}

test('what a stream showed in a time is deleted everywhere, and who learned from it is named', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const at = (minute: number) => new Date(Date.now() - dayMs + minute * 60_000).toISOString()
  const gone = await sendOne(gate, 1, { capturedAt: at(10) })
  const later = await sendOne(gate, 2, { capturedAt: at(50) })
  const other = await sendOne(gate, 3, { capturedAt: at(10), streamId: 'other' })
  await addTo(hub, 'cups', gone)
  await learnFrom(hub, 'cups', gone)
  const snapshot = await takePicture(4, 64, 48)
  assert.equal(
    (await gate.put(`/blobs/${snapshot.digest}`, 'image/jpeg', snapshot.bytes)).status,
    204,
  )
  const client = await gate.connect()
  const entry = {
    sequence: 1,
    kind: 'appeared',
    at: at(11),
    streamId: 'cam',
    trackId: 1,
    label: 'cup',
    score: 0.9,
    box: [0, 0, 1, 1],
    snapshot: snapshot.digest,
  }
  const batch = { bootId: randomUUID(), acknowledgedThrough: 0, entries: [entry] }
  await client.publishAsync(topicFor('events', gate), JSON.stringify(batch), { qos: 1 })
  const events = () => json<{ events: { snapshot: string | null }[] }>(hub, 'GET', '/api/events')
  await t.waitFor(async () => assert.equal((await events()).events.length, 1), { timeout: 20_000 })

  const asked = { deviceId: 'gate', streamId: 'cam', from: at(0), to: at(30) }
  const preview = await json<ForgetAffected>(hub, 'POST', '/api/forget-previews', asked)
  assert.deepEqual(preview, {
    deviceId: 'gate',
    streamId: 'cam',
    from: asked.from,
    to: asked.to,
    samples: 1,
    snapshots: 1,
    clips: 0,
    tasks: 0,
    datasets: [{ dataset: 'cups', samples: 1 }],
    versions: [{ dataset: 'cups', version: 1, samples: 1 }],
    models: [
      { name: 'cups', version: 1, from: 'dataset cups/1' },
      { name: 'cups', version: 2, from: 'model cups/1' },
    ],
  })
  const picture = async (digest: string) =>
    (await hub.api('GET', `/api/samples/${digest}/picture`)).status
  assert.equal(await picture(gone.digest), 200, 'looking deletes nothing')
  const words = ['forget', 'gate', '--stream', 'cam', '--from', asked.from, '--to', asked.to]
  const dry = await runCommand(hub, ...words)
  assert.equal(dry.code, 0, dry.stderr)
  assert.match(dry.stdout, /model cups\/2 learned from it: model cups\/1/)
  assert.match(dry.stderr, /--yes does it/)
  assert.equal(await picture(gone.digest), 200)
  const half = await takePicture(5, 64, 48)
  await offer(gate, [offerOf(gate, half, { capturedAt: at(12) })])

  const done = await runCommand(hub, ...words, '--yes', '--json')
  assert.deepEqual(JSON.parse(done.stdout), { ...preview, done: true })
  assert.equal(await picture(gone.digest), 404)
  assert.equal((await hub.api('GET', `/api/samples/${gone.digest}/thumbnail`)).status, 404)
  assert.equal((await hub.api('GET', `/api/blobs/${snapshot.digest}`)).status, 404)
  assert.equal((await events()).events[0]?.snapshot, null, 'the event stays')
  for (const { digest } of [later, other]) assert.equal(await picture(digest), 200)
  const { samples } = await json<{ samples: { digest: string }[] }>(
    hub,
    'GET',
    '/api/field-samples',
  )
  assert.deepEqual(
    samples.map(({ digest }) => digest),
    [other.digest, later.digest],
  )
  const left = await json<{ total: number }>(hub, 'GET', '/api/datasets/cups/samples')
  assert.equal(left.total, 0)
  assert.equal((await putAll(gate, half)).status, 404, 'what was on its way')
  for (const late of [gone, half]) {
    const { answers } = await offer(gate, [offerOf(gate, late, { capturedAt: at(12) })])
    assert.equal(answers[0]?.act, 'refuse', 'what the box still has')
  }
  const again = await json<ForgetAffected>(hub, 'POST', '/api/forget', asked)
  assert.deepEqual([again.samples, again.snapshots], [0, 0])
  const wrong = await hub.api('POST', '/api/forget', { ...asked, to: asked.from })
  assert.equal(wrong.status, 400)
})

test('old samples go, but for those that somebody needs; and the terminal lists and saves them', async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, { samplesKeptDays: 30 }, () => now)
  const gate = await hub.enrol('gate')
  const [old, needed] = [await sendOne(gate, 1, {}), await sendOne(gate, 2, {})]
  const frozen = await sendOne(gate, 3, {})
  await addTo(hub, 'needed', needed)
  await learnFrom(hub, 'frozen', frozen)
  const listed = await runCommand(hub, 'sample', 'list', '--reason', 'uncertain')
  assert.equal(listed.code, 0, listed.stderr)
  assert.match(listed.stdout, /gate\/cam/)
  const shown = await runCommand(hub, 'sample', 'show', '1', '--json')
  assert.equal(JSON.parse(shown.stdout).digest, old.digest)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-samples-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const saved = await runCommand(hub, 'sample', 'export', folder, '--device', 'gate', '--json')
  assert.equal(JSON.parse(saved.stdout).samples, 3)
  assert.deepEqual(await readFile(join(folder, `${old.digest}.jpg`)), old.bytes)
  assert.equal((await readdir(folder)).length, 4)
  const set = await runCommand(hub, 'sample', 'budget', '--frames', '70', '--json')
  assert.equal(JSON.parse(set.stdout).framesPerDay, 70)

  now += 31 * dayMs
  const young = await sendOne(gate, 4, {})
  const look = () => json<Retention>(hub, 'GET', '/api/store/retention')
  const samplesOf = ({ kinds }: Retention) => kinds.find(({ kind }) => kind === 'samples')
  assert.equal(samplesOf(await look())?.expired, 1)
  await json(hub, 'POST', '/api/store/retention')
  await t.waitFor(async () => assert.equal((await look()).running, false), { timeout: 20_000 })
  const status = async ({ digest }: TakenPicture) =>
    (await hub.api('GET', `/api/samples/${digest}/picture`)).status
  assert.deepEqual(
    await Promise.all([old, needed, frozen, young].map(status)),
    [404, 200, 200, 200],
  )
  assert.equal(samplesOf(await look())?.expired, 0)
})
