/** The client workflow against a repository made here, and against everything that a thief of keys or bytes could do. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { bundleField, keepRoot, refreshTrust, takeBytes, takeFirstRoot } from './client.ts'
import { makeKey, type SigningKey } from './keys.ts'
import { type RoleName, readDocument } from './metadata.ts'
import {
  makeRoot,
  makeSnapshot,
  makeTargets,
  makeTimestamp,
  nextRoot,
  type RoleKeys,
  type RootKeys,
  signDocument,
} from './repository.ts'
import { TrustError, type TrustFiles, type TrustSource } from './trust.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const start = Date.parse('2026-11-21T00:00:00Z')
const path = 'manifests/detector/1/linux-x64.json'

/** A hub's repository; its owner signs whatever a test asks for. */
class Repository {
  readonly files = new Map<string, Uint8Array>()
  readonly keys: Record<RoleName, SigningKey[]>
  rootVersion = 1

  constructor() {
    const make = (count: number) => Array.from({ length: count }, () => makeKey().key)
    this.keys = { root: make(3), targets: make(1), snapshot: make(1), timestamp: make(1) }
    const root = makeRoot({
      fleet: 'here',
      expiresAt: start + 365 * dayMs,
      roles: this.#roles(),
    })
    this.files.set('1.root.json', signDocument(root, this.keys.root.slice(0, 2)))
    this.publish(1)
  }

  #roles(): RootKeys {
    const of = (role: RoleName, threshold: number): RoleKeys => ({
      keys: this.keys[role].map(({ publicKey }) => publicKey),
      threshold,
    })
    return {
      root: of('root', 2),
      targets: of('targets', 1),
      snapshot: of('snapshot', 1),
      timestamp: of('timestamp', 1),
    }
  }

  get root(): Uint8Array {
    return this.files.get(`${this.rootVersion}.root.json`)!
  }

  /** One version of everything. */
  publish(
    version: number,
    { at = start, text = `manifest ${version}`, bundle = false } = {},
  ): void {
    const digest = createHash('sha256').update(text).digest('hex')
    const targets = signDocument(
      makeTargets({
        version,
        expiresAt: at + 90 * dayMs,
        targets: { [path]: { lengthBytes: text.length, digest } },
      }),
      this.keys.targets,
    )
    const snapshot = signDocument(
      makeSnapshot({ version, expiresAt: at + 30 * dayMs, targets: { version, bytes: targets } }),
      this.keys.snapshot,
    )
    this.files.set(`${version}.targets.json`, targets)
    this.files.set(`${version}.snapshot.json`, snapshot)
    this.stamp(version, { at, snapshot: version, bundle })
  }

  stamp(version: number, { at = start, snapshot = version, bundle = false, forMs = dayMs } = {}) {
    const bytes = this.files.get(`${snapshot}.snapshot.json`)!
    const timestamp = makeTimestamp({
      version,
      signedAt: at,
      expiresAt: at + forMs,
      bundle,
      snapshot: { version: snapshot, bytes },
    })
    this.files.set('timestamp.json', signDocument(timestamp, this.keys.timestamp))
  }

  /** A next root with new keys for a role, signed by `signers` or else by whom it must be. */
  rotate(role: RoleName, keys: SigningKey[], signers?: SigningKey[]): void {
    const old = this.keys.root
    this.keys[role] = keys
    const next = nextRoot(
      readDocument('root', this.root),
      { role, keys: this.#roles()[role] },
      start + 365 * dayMs,
    )
    const by = signers ?? [...old.slice(0, 2), ...this.keys.root.slice(0, 2)]
    this.rootVersion += 1
    this.files.set(`${this.rootVersion}.root.json`, signDocument(next, [...new Set(by)]))
  }

  edit(file: string, act: (text: string) => string): void {
    const before = Buffer.from(this.files.get(file)!).toString()
    const after = act(before)
    assert.notEqual(after, before, `${file} was not changed`)
    this.files.set(file, Buffer.from(after))
  }

  source: TrustSource = { fetch: async (file) => this.files.get(file) }
}

/** A device: what it keeps, and how often it wrote. */
class Device implements TrustFiles {
  readonly kept = new Map<string, Uint8Array>()
  writes: string[] = []
  async read(name: string) {
    return this.kept.get(name)
  }
  async write(name: string, bytes: Uint8Array) {
    this.writes.push(name)
    this.kept.set(name, bytes)
  }
  refresh(source: TrustSource, now = start + hourMs, more: { bundle?: boolean } = {}) {
    const { signal } = new AbortController()
    return refreshTrust({ files: this, source, now, signal, timeoutMs: 20_000, ...more })
  }
  /** Everything that is kept, to see that a refusal changed nothing. */
  state(): string {
    return JSON.stringify(
      [...this.kept].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]),
    )
  }
}

async function enrolled(repository: Repository): Promise<Device> {
  const device = new Device()
  await keepRoot(device, repository.root)
  return device
}

const refused = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TrustError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, text)
  return true
}

test('a device learns what may be used, and asks only for what changed', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  const asked: string[] = []
  const source: TrustSource = {
    fetch: async (file) => {
      asked.push(file)
      return repository.files.get(file)
    },
  }
  const trusted = await device.refresh(source)
  assert.equal(trusted.fleet, 'here')
  assert.equal(trusted.find(path)?.lengthBytes, 'manifest 1'.length)
  assert.equal(trusted.find('manifests/other'), undefined)
  assert.equal(trusted.find('__proto__'), undefined)
  assert.equal(trusted.expiresAt, start + dayMs, 'the timestamp expires first')
  assert.deepEqual(asked, ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json'])
  asked.length = 0
  device.writes = []
  await device.refresh(source)
  assert.deepEqual(asked, ['2.root.json', 'timestamp.json'])
  assert.deepEqual(device.writes, [], 'nothing is written where nothing changed')
})

test('whatever is tampered with is refused, byte by byte', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  for (const file of ['timestamp.json', '1.snapshot.json', '1.targets.json']) {
    const good = repository.files.get(file)!
    const signed = Buffer.from(good).indexOf('"signed"')
    let changed = 0
    for (let at = signed + 12; at < good.length - 4; at += 7) {
      const bad = Uint8Array.from(good)
      bad[at]! ^= 1
      // White space may change where only the meaning is signed, as in a timestamp.
      if (same(good, bad)) continue
      changed += 1
      repository.files.set(file, bad)
      const fresh = await enrolled(repository)
      await assert.rejects(fresh.refresh(repository.source), TrustError, `${file} at ${at}`)
    }
    assert.ok(changed > 20, `${changed} of ${file}`)
    repository.files.set(file, good)
  }
  await device.refresh(repository.source)
})

function same(a: Uint8Array, b: Uint8Array): boolean {
  try {
    const [one, other] = [a, b].map((bytes) =>
      JSON.stringify(JSON.parse(Buffer.from(bytes).toString())),
    )
    return one === other
  } catch {
    return false
  }
}

test('S3: what was signed before is not taken again', async () => {
  const repository = new Repository()
  const old = new Map(repository.files)
  repository.publish(2)
  const device = await enrolled(repository)
  await device.refresh(repository.source)
  const before = device.state()
  const replay: TrustSource = { fetch: async (file) => old.get(file) }
  await assert.rejects(
    device.refresh(replay),
    refused('integrity', /version 1 of timestamp: version 2 was trusted before/),
  )
  // A newer timestamp that points at an older snapshot.
  repository.stamp(3, { snapshot: 1 })
  await assert.rejects(device.refresh(repository.source), refused('integrity', /1 of snapshot/))
  assert.equal(device.state(), before, 'a refusal changes nothing')
})

test('S3: a newer snapshot with older targets, or without them, is not taken', async () => {
  const repository = new Repository()
  repository.publish(2)
  const device = await enrolled(repository)
  await device.refresh(repository.source)
  const snapshot = signDocument(
    makeSnapshot({
      version: 3,
      expiresAt: start + dayMs,
      targets: { version: 1, bytes: repository.files.get('1.targets.json')! },
    }),
    repository.keys.snapshot,
  )
  repository.files.set('3.snapshot.json', snapshot)
  repository.stamp(3)
  await assert.rejects(
    device.refresh(repository.source),
    refused('integrity', /version 1 of "targets.json", and version 2/),
  )
})

test('S4: an expired timestamp is refused, and a clock that is set back does not help', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  await assert.rejects(
    device.refresh(repository.source, start + dayMs),
    refused('trust', /timestamp: it expired at 2026-11-22/),
  )
  repository.stamp(2, { at: start + 10 * dayMs, snapshot: 1 })
  await device.refresh(repository.source, start + 10 * dayMs)
  // Frozen: valid by the clock of the box, which is ten days late, and not by the time that was signed.
  repository.stamp(3, { at: start, forMs: 9 * dayMs, snapshot: 1 })
  await assert.rejects(device.refresh(repository.source, start), refused('trust', /expired/))
  // A box whose clock has stood still since 1970 learns the time from what is signed.
  const stopped = await enrolled(repository)
  repository.stamp(4, { at: start + 366 * dayMs, snapshot: 1 })
  await assert.rejects(stopped.refresh(repository.source, 0), refused('trust', /1 of root/))
})

test('S4: expired snapshots, targets and roots are refused', async () => {
  for (const [days, role] of [
    [40, 'snapshot'],
    [100, 'targets'],
    [400, 'root'],
  ] as const) {
    const repository = new Repository()
    const at = start + days * dayMs
    if (role === 'targets') {
      const targets = repository.files.get('1.targets.json')!
      const snapshot = makeSnapshot({
        version: 1,
        expiresAt: at + dayMs,
        targets: { version: 1, bytes: targets },
      })
      repository.files.set('1.snapshot.json', signDocument(snapshot, repository.keys.snapshot))
    }
    repository.stamp(2, { at, snapshot: 1 })
    const device = await enrolled(repository)
    await assert.rejects(
      device.refresh(repository.source, at),
      refused('trust', new RegExp(`of ${role}: it expired`)),
    )
  }
})

test('S5: versions that a thief drove up hold nobody back once the keys are others', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  const far = Number.MAX_SAFE_INTEGER
  repository.publish(far)
  await device.refresh(repository.source)
  repository.publish(2)
  await assert.rejects(
    device.refresh(repository.source),
    refused('integrity', /was trusted before/),
  )
  // One of the two keys stays: what it has signed would still verify, and does not count either.
  const staying = repository.keys.timestamp[0]!
  repository.rotate('timestamp', [staying, makeKey().key])
  repository.publish(2)
  const trusted = await device.refresh(repository.source)
  assert.deepEqual([trusted.rootVersion, trusted.version], [2, 2])
  // And from here on floors hold again.
  repository.stamp(1, { snapshot: 2 })
  await assert.rejects(
    device.refresh(repository.source),
    refused('integrity', /was trusted before/),
  )
})

test('S5: a device that stops between the new root and the new floors goes on', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  repository.publish(Number.MAX_SAFE_INTEGER)
  await device.refresh(repository.source)
  repository.rotate('snapshot', [makeKey().key])
  repository.publish(2)
  const cut: TrustSource = {
    fetch: async (file) => {
      if (file === 'timestamp.json') throw new Error('the line is cut')
      return repository.files.get(file)
    },
  }
  await assert.rejects(device.refresh(cut), refused('trust', /line is cut/))
  assert.equal((await device.refresh(repository.source)).version, 2)
})

test('a signed version above what is exact is refused', async () => {
  const repository = new Repository()
  repository.edit('timestamp.json', (text) =>
    text.replace('"version": 1,', '"version": 9007199254740993,'),
  )
  const device = await enrolled(repository)
  await assert.rejects(device.refresh(repository.source), refused('integrity', /exact integer/))
})

test('S6: bytes of one version under the name of another are refused', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  const old = repository.files.get('1.targets.json')!
  const oldSnapshot = repository.files.get('1.snapshot.json')!
  repository.publish(2)
  const [targets, snapshot] = ['2.targets.json', '2.snapshot.json'].map(
    (file) => repository.files.get(file)!,
  )
  repository.files.set('2.targets.json', old)
  await assert.rejects(device.refresh(repository.source), refused('integrity', /"2.targets.json"/))
  repository.files.set('2.targets.json', targets!)
  repository.files.set('2.snapshot.json', oldSnapshot)
  const fresh = await enrolled(repository)
  await assert.rejects(fresh.refresh(repository.source), refused('integrity', /"2.snapshot.json"/))
  repository.files.set('2.snapshot.json', snapshot!)
  assert.equal((await device.refresh(repository.source)).version, 2)
})

test('S9: roots follow one another, signed by the keys of both', async () => {
  const repository = new Repository()
  const first = repository.root
  const device = await enrolled(repository)
  await device.refresh(repository.source)
  const oldKeys = repository.keys.root
  const newKeys = [makeKey().key, makeKey().key, makeKey().key]

  repository.rotate('root', newKeys, newKeys)
  await assert.rejects(device.refresh(repository.source), refused('integrity', /version 1 of root/))
  const unsigned = readDocument('root', repository.files.get('2.root.json')!)
  const by = (keys: SigningKey[]) => {
    const { signed } = JSON.parse(Buffer.from(unsigned.bytes).toString()) as { signed: object }
    const bare = Buffer.from(JSON.stringify({ signatures: [], signed }))
    repository.files.set('2.root.json', signDocument(bare, keys))
  }
  by(oldKeys.slice(0, 2))
  await assert.rejects(device.refresh(repository.source), refused('integrity', /the new root/))
  by([oldKeys[0]!, newKeys[0]!, newKeys[1]!])
  await assert.rejects(device.refresh(repository.source), refused('integrity', /version 1 of root/))
  by([...oldKeys.slice(1), ...newKeys.slice(1)])
  assert.equal((await device.refresh(repository.source)).rootVersion, 2)

  repository.rotate('timestamp', [makeKey().key])
  const third = repository.files.get('3.root.json')!
  repository.files.delete('3.root.json')
  repository.files.set('4.root.json', third)
  repository.publish(2)
  // The third is not there: nothing is skipped, and what its keys signed is not known yet.
  await assert.rejects(device.refresh(repository.source), refused('integrity', /version 2 of root/))
  repository.files.set('3.root.json', third)
  repository.files.delete('4.root.json')
  assert.equal((await device.refresh(repository.source)).rootVersion, 3)
  // A device that slept through all of it walks the same way.
  const late = new Device()
  await keepRoot(late, first)
  assert.equal((await late.refresh(repository.source)).rootVersion, 3)
  // A version number that lies about its name.
  repository.files.set('4.root.json', third)
  await assert.rejects(late.refresh(repository.source), refused('integrity', /without a gap/))
})

test('a root of another fleet does not follow', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  repository.rotate('timestamp', [makeKey().key])
  const next = JSON.parse(Buffer.from(repository.root).toString()) as { signed: object }
  const text = JSON.stringify({
    signatures: [],
    signed: { ...next.signed, 'x-edgeloop-fleet': 'there' },
  })
  const signed = signDocument(Buffer.from(text), repository.keys.root)
  repository.files.set('2.root.json', signed)
  await assert.rejects(device.refresh(repository.source), refused('integrity', /fleet "there"/))
})

test('S10: endless and slow sources end in time and within bounds', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  let given = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += 4096
      yield new Uint8Array(4096)
    }
  }
  const flood: TrustSource = { fetch: (file, most) => takeBytes(endless(), most, file) }
  await assert.rejects(device.refresh(flood), refused('integrity', /longer than 524288 bytes/))
  assert.ok(given <= 524_288 + 4096, `${given} bytes were read`)
  // A source that does not keep to the bound.
  const rude: TrustSource = {
    fetch: async (file) => (file === 'timestamp.json' ? new Uint8Array(20_000) : undefined),
  }
  await assert.rejects(device.refresh(rude), refused('integrity', /longer than 16384/))
  const { signal } = new AbortController()
  const never: TrustSource = { fetch: () => new Promise(() => {}) }
  const order = { files: device, now: start, source: never }
  await assert.rejects(
    refreshTrust({ ...order, signal, timeoutMs: 30 }),
    refused('trust', /longer than 30 ms/),
  )
  await assert.rejects(
    refreshTrust({ ...order, signal: AbortSignal.abort(new Error('stopping')) }),
    refused('trust', /stopping/),
  )
})

test('a source that fails is not one that has no next root', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  const failing: TrustSource = {
    fetch: async (file) => {
      if (file.endsWith('root.json')) throw new Error('500')
      return repository.files.get(file)
    },
  }
  await assert.rejects(device.refresh(failing), refused('trust', /Cannot fetch "2.root.json": 500/))
})

test('a device without a root trusts nothing, and may take the first one from its hub', async () => {
  const repository = new Repository()
  const device = new Device()
  await assert.rejects(device.refresh(repository.source), refused('trust', /has no root/))
  const { signal } = new AbortController()
  await takeFirstRoot({ files: device, source: repository.source, signal })
  await device.refresh(repository.source)
  // One that is there is not replaced, whatever the hub says then.
  const other = new Repository()
  await takeFirstRoot({ files: device, source: other.source, signal })
  await assert.rejects(device.refresh(other.source), TrustError)
  const unsigned = signDocument(other.root, [])
  const text = Buffer.from(unsigned)
    .toString()
    .replace(/"sig": "./g, '"sig": "f0')
  await assert.rejects(keepRoot(device, Buffer.from(text)), refused('integrity', /root itself/))
})

test('floors outlive a damaged file of them, and enrolment at another hub begins anew', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  await device.refresh(repository.source)
  device.kept.set('floors.json', Buffer.from('{"spec":'))
  assert.equal((await device.refresh(repository.source)).version, 1)
  const other = new Repository()
  await keepRoot(device, other.root)
  assert.equal((await device.refresh(other.source)).version, 1)
})

test('a timestamp that is made to travel counts from a bundle alone', async () => {
  const repository = new Repository()
  const device = await enrolled(repository)
  await device.refresh(repository.source)
  const fresh = repository.files.get('timestamp.json')!
  repository.stamp(1, { bundle: true, forMs: 30 * dayMs })
  assert.match(
    Buffer.from(repository.files.get('timestamp.json')!).toString(),
    new RegExp(bundleField),
  )
  await assert.rejects(device.refresh(repository.source), refused('integrity', /came from a hub/))
  const later = start + 20 * dayMs
  assert.equal((await device.refresh(repository.source, later, { bundle: true })).version, 1)
  repository.files.set('timestamp.json', fresh)
  await device.refresh(repository.source, start + hourMs)
})
