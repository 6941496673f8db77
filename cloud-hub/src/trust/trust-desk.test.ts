/** The trust repository on every kind of store, seen by the client that boxes run. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  keepRoot,
  keyIdOf,
  makeKey,
  nextRoot,
  readDocument,
  readKey,
  refreshTrust,
  rolesOf,
  type SigningKey,
  signDocument,
} from '@edgeloop/model-compiler/artifact'
import { Refusal } from '@edgeloop/protocol'
import { pino } from 'pino'
import { storeKinds } from '../../../test/stores.ts'
import type { Store } from '../store/store.ts'
import { openTrustDesk, type TrustDesk } from './trust-desk.ts'
import { openFirstRoot, openTrustKeys } from './trust-keys.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const start = Date.parse('2026-11-21T12:00:00Z')
const manifest = (name: string) => ({
  path: `manifests/${name}/1/linux-x64.json`,
  bytes: Buffer.from(`{"name":"${name}"}`),
})

async function tempFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-trust-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

class Bench {
  now = start
  lines = ''
  readonly clock = () => this.now
  readonly folder: string
  readonly store: Store
  rootKeys: SigningKey[] = []
  targetsKey: SigningKey | undefined

  constructor(folder: string, store: Store) {
    this.folder = folder
    this.store = store
  }

  /** A desk on the store: again after it was closed, or another replica. */
  async open({ targetsElsewhere = false } = {}): Promise<TrustDesk> {
    const { folder, store, clock } = this
    const folders = { online: join(folder, 'online'), root: join(folder, 'root') }
    const elsewhere = join(folder, 'elsewhere')
    const first = await openFirstRoot(folders, clock, targetsElsewhere ? elsewhere : undefined)
    const keysIn = async (of: string) => {
      const files = (await readdir(of)).map((file) => join(of, file))
      return await Promise.all(
        files.map(async (file) => readKey(await readFile(file, 'utf8'), file)),
      )
    }
    this.rootKeys = await keysIn(folders.root)
    if (targetsElsewhere) [this.targetsKey] = await keysIn(elsewhere)
    const log = pino(
      { level: 'trace' },
      {
        write: (line) => {
          this.lines += line
        },
      },
    )
    const keys = await openTrustKeys(folders.online)
    return await openTrustDesk({ store, keys, firstRoot: first.root, clock, log })
  }
}

class Box {
  readonly kept = new Map<string, Uint8Array>()
  async read(name: string) {
    return this.kept.get(name)
  }
  async write(name: string, bytes: Uint8Array) {
    this.kept.set(name, bytes)
  }
  async refresh(desk: Pick<TrustDesk, 'file' | 'root'>, now: number) {
    if (this.kept.size === 0) await keepRoot(this, await desk.root())
    const { signal } = new AbortController()
    const source = { fetch: (file: string) => desk.file(file) }
    return await refreshTrust({ files: this, source, now, signal })
  }
}

const refused = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Refusal, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, text)
  return true
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: a new hub makes its keys and signs what boxes then trust`,
    kind.needs,
    async (t) => {
      const bench = new Bench(await tempFolder(t), await kind.open(t))
      const desk = await bench.open()
      const box = new Box()
      const empty = await box.refresh(desk, bench.now)
      assert.match(empty.fleet, /^fleet-[0-9a-f]{8}$/)
      assert.deepEqual(empty.paths(), [])
      const [one, two] = [manifest('one'), manifest('two')]
      assert.equal(await desk.addTargets([one]), 'signed')
      assert.equal(await desk.addTargets([two]), 'signed')
      const trusted = await box.refresh(desk, bench.now)
      assert.deepEqual(trusted.paths(), [one.path, two.path])
      assert.equal(trusted.find(one.path)?.lengthBytes, one.bytes.length)
      assert.deepEqual(await desk.find(two.path), trusted.find(two.path))
      const version = trusted.version
      await desk.addTargets([one])
      assert.equal(
        (await box.refresh(desk, bench.now)).version,
        version,
        'nothing new, nothing signed',
      )

      // The keys: readable by the owner alone, not in the log, and the same after a restart.
      for (const folder of ['online', 'root']) {
        for (const file of await readdir(join(bench.folder, folder))) {
          if (!file.endsWith('.key')) continue
          const path = join(bench.folder, folder, file)
          assert.equal((await stat(path)).mode & 0o777, 0o600)
          const secret = (await readFile(path, 'utf8')).split('\n')[1] ?? ''
          assert.ok(secret.length > 40 && !bench.lines.includes(secret))
        }
      }
      const again = await bench.open()
      assert.equal(again.fleet, desk.fleet)
      assert.equal((await box.refresh(again, bench.now)).version, version)
      const { roles, problems } = await again.shown()
      assert.deepEqual(
        roles.map(({ role, threshold, keys }) => [
          role,
          threshold,
          keys.map(({ online }) => online),
        ]),
        [
          ['root', 2, [false, false, false]],
          ['targets', 1, [true]],
          ['snapshot', 1, [true]],
          ['timestamp', 1, [true]],
        ],
      )
      assert.deepEqual(problems, [])
    },
  )

  test(
    `${kind.name}: what expires is renewed by itself, and little is kept`,
    kind.needs,
    async (t) => {
      const bench = new Bench(await tempFolder(t), await kind.open(t))
      const desk = await bench.open()
      await desk.addTargets([manifest('one')])
      const box = new Box()
      const seen = new Set<string>()
      for (let step = 0; step < 80; step++) {
        bench.now = start + step * 57 * hourMs
        await desk.tick()
        if (step % 4 > 0) continue
        const trusted = await box.refresh(desk, bench.now)
        assert.ok(trusted.expiresAt > bench.now + 19 * hourMs)
        seen.add(String(trusted.version))
      }
      const files = await bench.store.reader.selectFrom('trust_file').select('name').execute()
      assert.ok(files.length <= 7, files.map(({ name }) => name).join())
      assert.ok(seen.size >= 2, 'targets are signed anew, too')
      // A hub that stood still for long is fresh again with its first tick.
      bench.now += 60 * dayMs
      await assert.rejects(box.refresh(desk, bench.now), /expired/)
      await desk.tick()
      await box.refresh(desk, bench.now)
    },
  )

  test(`${kind.name}: replicas that sign at once lose nothing`, kind.needs, async (t) => {
    const bench = new Bench(await tempFolder(t), await kind.open(t))
    const desks = [await bench.open(), await bench.open(), await bench.open()]
    const box = new Box()
    const names = Array.from({ length: 12 }, (_, index) => `m${index}`)
    await Promise.all(names.map((name, index) => desks[index % 3]!.addTargets([manifest(name)])))
    const trusted = await box.refresh(desks[0]!, bench.now)
    assert.deepEqual(
      trusted.paths().toSorted(),
      names.map((name) => manifest(name).path).toSorted(),
    )
  })

  test(
    `${kind.name}: keys are rotated one after the other, and boxes follow`,
    kind.needs,
    async (t) => {
      const bench = new Bench(await tempFolder(t), await kind.open(t))
      const desk = await bench.open()
      await desk.addTargets([manifest('one')])
      const box = new Box()
      await box.refresh(desk, bench.now)
      for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
        const before = readDocument('root', await desk.root())
        const old = rolesOf(before)[role].keys.map(keyIdOf)
        const made = await desk.makeKey(role)
        const keys = { keys: [made.publicKey], threshold: 1 }
        const unsigned = nextRoot(before, { role, keys }, bench.now + 100 * dayMs)
        const one = signDocument(unsigned, bench.rootKeys.slice(0, 1))
        await assert.rejects(desk.takeRoot(one), refused('badRequest', /2 different keys, and 1/))
        await desk.takeRoot(signDocument(unsigned, bench.rootKeys.slice(1)))
        const trusted = await box.refresh(desk, bench.now)
        assert.equal(trusted.rootVersion, before.version + 1)
        assert.deepEqual(trusted.paths(), [manifest('one').path])
        const left = await readdir(join(bench.folder, 'online'))
        assert.ok(!left.includes(`${old[0]}.key`) || old[0] === undefined, 'the old key is gone')
        const again = signDocument(unsigned, bench.rootKeys)
        await assert.rejects(desk.takeRoot(again), refused('badRequest', /without a gap/))
      }
      // A root key that was lost is replaced by the two that are left.
      const before = readDocument('root', await desk.root())
      const fresh = makeKey().key
      const [, second, third] = bench.rootKeys as [SigningKey, SigningKey, SigningKey]
      const keys = [second, third, fresh].map(({ publicKey }) => publicKey)
      const unsigned = nextRoot(
        before,
        { role: 'root', keys: { keys, threshold: 2 } },
        bench.now + dayMs,
      )
      await desk.takeRoot(signDocument(unsigned, [second, third]))
      assert.equal((await box.refresh(desk, bench.now)).rootVersion, 5)
      assert.match((await desk.shown()).problems.join(), /root expires/)
    },
  )

  test(
    `${kind.name}: without its targets key a hub stages, and takes what was signed elsewhere`,
    kind.needs,
    async (t) => {
      const bench = new Bench(await tempFolder(t), await kind.open(t))
      const desk = await bench.open({ targetsElsewhere: true })
      const box = new Box()
      await assert.rejects(box.refresh(desk, bench.now), /no "timestamp.json"/)
      const [one, two] = [manifest('one'), manifest('two')]
      assert.equal(await desk.addTargets([one]), 'staged')
      assert.equal(await desk.addTargets([two]), 'staged')
      assert.equal(await desk.find(one.path), undefined)
      assert.deepEqual(
        (await desk.shown()).staged.map(({ path }) => path),
        [one.path, two.path],
      )
      const unsigned = await desk.staged()
      await assert.rejects(desk.takeTargets(unsigned), refused('badRequest', /0 of them/))
      const stranger = signDocument(unsigned, [makeKey().key])
      await assert.rejects(desk.takeTargets(stranger), refused('badRequest', /0 of them/))
      const signed = signDocument(unsigned, [bench.targetsKey!])
      await desk.takeTargets(signed)
      await assert.rejects(desk.takeTargets(signed), refused('conflict', /fetch what waits anew/))
      assert.deepEqual((await box.refresh(desk, bench.now)).paths(), [one.path, two.path])
      assert.deepEqual((await desk.shown()).staged, [])
      await assert.rejects(desk.staged(), refused('notFound', /nothing waits/))
      // The rest goes on by itself.
      bench.now += 20 * dayMs
      await desk.tick()
      await box.refresh(desk, bench.now)
    },
  )
}

test('a hub without its online keys says so, and signs nothing', async (t) => {
  const kind = storeKinds[0]!
  const bench = new Bench(await tempFolder(t), await kind.open(t))
  const first = await bench.open()
  await first.addTargets([manifest('one')])
  // Another machine on the same store, which nobody gave the keys.
  const stray = new Bench(await tempFolder(t), bench.store)
  const desk = await stray.open()
  assert.equal(desk.fleet, first.fleet)
  assert.match(stray.lines, /another first root/)
  assert.match((await desk.shown()).problems.join(), /no key for timestamp/)
  assert.equal(await desk.addTargets([manifest('two')]), 'staged')
  const box = new Box()
  assert.deepEqual((await box.refresh(desk, bench.now)).paths(), [manifest('one').path])
})

test('a hub that has lost all its keys gets others, one after the other', async (t) => {
  const bench = new Bench(await tempFolder(t), await storeKinds[0]!.open(t))
  const box = new Box()
  const first = await bench.open()
  await first.addTargets([manifest('one')])
  await box.refresh(first, bench.now)
  for (const file of await readdir(join(bench.folder, 'online'))) {
    if (file.endsWith('.key')) await rm(join(bench.folder, 'online', file))
  }
  const desk = await bench.open()
  const rotate = async (role: 'targets' | 'snapshot' | 'timestamp') => {
    const { publicKey } = await desk.makeKey(role)
    const before = readDocument('root', await desk.root())
    const keys = { keys: [publicKey], threshold: 1 }
    const next = nextRoot(before, { role, keys }, bench.now + 100 * dayMs)
    await desk.takeRoot(signDocument(next, bench.rootKeys))
  }
  await assert.rejects(rotate('targets'), refused('conflict', /rotate that first/))
  await rotate('snapshot')
  await assert.rejects(box.refresh(desk, bench.now))
  await rotate('timestamp')
  await rotate('targets')
  await desk.addTargets([manifest('two')])
  const trusted = await box.refresh(desk, bench.now)
  assert.deepEqual(trusted.paths(), [manifest('one').path, manifest('two').path])
  assert.deepEqual((await desk.shown()).problems, [])
})

test('targets in the store that no key of the root has signed are not replaced by none', async (t) => {
  const bench = new Bench(await tempFolder(t), await storeKinds[0]!.open(t))
  const desk = await bench.open()
  await desk.addTargets([manifest('one')])
  const { text, name } = await bench.store.reader
    .selectFrom('trust_file')
    .select(['name', 'text'])
    .where('name', 'like', '%.targets.json')
    .orderBy('name', 'desc')
    .executeTakeFirstOrThrow()
  const bad = text.replace('manifests/one', 'manifests/two')
  await bench.store.writer
    .updateTable('trust_file')
    .set({ text: bad })
    .where('name', '=', name)
    .execute()
  await assert.rejects(desk.tick(), /not signed by keys of the root/)
})
