/**
 * A bundle that is carried to a box: the power fails at every step of putting it there and of taking it up, and the disk is full at
 * every write. The box has it or not, frames go to a whole model, and it goes on by itself without any hub.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TrustError } from '@edgeloop/model-compiler/artifact'
import { careDefaults } from '@edgeloop/protocol'
import { carriedId, carryIn } from '../../edge-agent/src/update/carried.ts'
import { CrashDisk, PowerCut } from './crash-disk.ts'
import { digestOf, Life, modelBytes, randomFrom, startsAt, World } from './update-world.ts'

const versionOf = new Map([1, 2, 3].map((version) => [digestOf(modelBytes(version)), version]))
const box = { targets: ['linux-x64'], agentVersion: '0.1.0' }
const dayMs = 86_400_000
const { signal } = new AbortController()

/** A box that has version 1 from its hub, and a bundle with version 2. */
async function boxAndBundle() {
  const world = new World()
  world.publish(1)
  const disk = new CrashDisk(randomFrom(1))
  const life = await Life.begin({
    world,
    disk,
    manners: {},
    offers: () => [world.offer(1)],
    seed: 1,
  })
  assert.equal(await life.end(disk), false)
  const old = await world.bundle()
  world.publish(2)
  return { world, disk, old, bundle: await world.bundle() }
}

const carry = (disk: CrashDisk, bundle: Uint8Array, now = startsAt + dayMs) =>
  carryIn({
    disk,
    box,
    now,
    signal,
    care: careDefaults,
    bytes: {
      lengthBytes: bundle.length,
      read: async (from, length) => bundle.subarray(from, from + length),
    },
  })

const live = (world: World, disk: CrashDisk) => Life.begin({ world, disk, manners: {}, seed: 1 })

test('what is carried to a box is taken up without a hub, once', async () => {
  const { world, disk, old, bundle } = await boxAndBundle()
  assert.deepEqual(
    (await carry(disk, old)).map(({ version, refused }) => [version, refused]),
    [[1, 'it runs here already']],
  )
  assert.equal(await carriedId(disk), undefined)
  assert.deepEqual(
    (await carry(disk, bundle)).map(({ version, refused }) => [version, refused]),
    [[2, '']],
  )
  const life = await live(world, disk)
  assert.equal(await life.end(disk), false)
  assert.equal(versionOf.get(life.host.frames), 2)
  const told = life.told.at(-1)
  assert.equal(told?.state, 'committed', JSON.stringify(told))
  // Only the difference was read, although no hub had a say.
  assert.ok(told.bytes.total < 5000, JSON.stringify(told.bytes))
  assert.deepEqual(await disk.list('carried'), [])
  // S3: what was signed before is not taken again.
  await assert.rejects(carry(disk, old), (error: unknown) => {
    assert.ok(error instanceof TrustError && error.code === 'integrity', String(error))
    return true
  })
  // S4: nor is it when its time is over.
  await assert.rejects(carry(disk, bundle, startsAt + 40 * dayMs), /expired/)
})

test('a bundle that is for other boxes says so, and nothing of it stays', async () => {
  const { world, disk } = await boxAndBundle()
  world.publish(3, { targets: ['linux-arm64'] })
  const arm = { ...box, targets: ['linux-x64'] }
  const bundle = await world.bundle()
  // Version 2 is meant for it, the newest is not.
  assert.deepEqual(
    (await carry(disk, bundle)).map(({ version, refused }) => [version, refused]),
    [[2, '']],
  )
  const [model] = await carryIn({
    disk,
    now: startsAt + dayMs,
    signal,
    care: careDefaults,
    box: { ...arm, targets: ['openvino'] },
    bytes: {
      lengthBytes: bundle.length,
      read: async (from, length) => bundle.subarray(from, from + length),
    },
  })
  assert.match(model?.refused ?? '', /^It is for linux-/)
  // The one that was carried before stays.
  assert.notEqual(await carriedId(disk), undefined)
  assert.equal((await disk.list('carried')).length, 2)
})

test('what the hub had begun before it fell silent goes on beside what is carried', async () => {
  const { world, disk, bundle } = await boxAndBundle()
  await carry(disk, bundle)
  // The hub's version 2 is under way when the bundle with the same version is found: one of the two runs, once.
  const cut = disk.copy(randomFrom(3))
  cut.cutAt = 25
  await Life.begin({ world, disk: cut, manners: {}, offers: () => [world.offer(2)], seed: 2 })
    .then((life) => life.end(cut))
    .catch((error) => assert.ok(error instanceof PowerCut, String(error)))
  assert.ok(cut.isCut)
  const after = cut.afterCut(randomFrom(4))
  const life = await live(world, after)
  assert.equal(await life.end(after), false)
  assert.equal(versionOf.get(life.host.frames), 2)
})

const anySeed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 30))

test('power may fail at every step of carrying a bundle in and of taking it up', async () => {
  const { world, disk, bundle } = await boxAndBundle()
  const calm = disk.copy(randomFrom(1))
  await carry(calm, bundle)
  const stepsIn = calm.steps
  const calmLife = await live(world, calm)
  assert.equal(await calmLife.end(calm), false)
  const steps = calm.steps
  let [points, taken] = [0, 0]
  for (let cutAt = 1; cutAt <= steps; cutAt++) {
    let one = disk.copy(randomFrom(anySeed + cutAt))
    one.cutAt = cutAt
    try {
      await carry(one, bundle)
      await (await live(world, one)).end(one)
    } catch (error) {
      assert.ok(error instanceof PowerCut, String(error))
    }
    assert.ok(one.isCut, `${cutAt} of ${steps}`)
    one = one.afterCut(randomFrom(anySeed ^ (cutAt * 7919)))
    const life = await live(world, one)
    assert.equal(await life.end(one), false)
    const has = versionOf.get(life.host.frames)
    const text = `step ${cutAt} of ${stepsIn}/${steps}: version ${has}, ${JSON.stringify(life.told.at(-1))}`
    // Before it lies there whole, nothing has happened; from then on it is taken up.
    if (cutAt > stepsIn) assert.equal(has, 2, text)
    else assert.ok(has === 1 || has === 2, text)
    if (has === 2) {
      taken++
      assert.deepEqual(await one.list('carried'), [], text)
    }
    // Whoever comes again with it is served.
    if (has === 1) {
      await carry(one, bundle)
      const next = await live(world, one)
      assert.equal(await next.end(one), false)
      assert.equal(versionOf.get(next.host.frames), 2, text)
    }
    points++
  }
  console.log(
    `# seed ${anySeed}: ${points} cuts (${stepsIn} while it was carried in), ${taken} went on to the new version`,
  )
})

test('a full disk refuses a bundle, and the box is as it was', async () => {
  const { world, disk, bundle } = await boxAndBundle()
  const before = disk.files
  const calm = disk.copy(randomFrom(1))
  await carry(calm, bundle)
  for (let fullAt = 0; fullAt < calm.writes; fullAt++) {
    const one = disk.copy(randomFrom(anySeed + fullAt))
    Object.assign(one, { fullAt, fullFor: 1e9 })
    await assert.rejects(carry(one, bundle), /no space left/)
    assert.deepEqual(one.files, before)
    one.fullFor = 0
    await carry(one, bundle)
    const life = await live(world, one)
    assert.equal(await life.end(one), false)
    assert.equal(versionOf.get(life.host.frames), 2)
  }
})
