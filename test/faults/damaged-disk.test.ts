/**
 * What lay on the disk of a box is no longer what was written there: every file of its models in turn, in several
 * ways. The next start never gives frames to anything but a whole model, says what is wrong, and the box comes
 * back by itself to what the hub wants of it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CrashDisk } from './crash-disk.ts'
import { digestOf, Life, modelBytes, randomFrom, World } from './update-world.ts'

const versionOf = new Map([1, 2].map((version) => [digestOf(modelBytes(version)), version]))

const damages: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array | undefined>> = {
  'one bit is another': (bytes) => {
    const at = bytes.length >> 1
    bytes[at] = (bytes[at] ?? 0) ^ 4
    return bytes
  },
  'half is missing': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'all is zero': (bytes) => bytes.fill(0),
  'it is empty': () => new Uint8Array(),
  'it is gone': () => undefined,
}

/** A box that was brought from version 1 to version 2. */
async function boxWithVersion2() {
  const world = new World()
  const disk = new CrashDisk(randomFrom(1))
  for (const version of [1, 2]) {
    world.publish(version)
    const life = await begin(world, disk, version)
    assert.equal(await life.end(disk), false)
    assert.equal(versionOf.get(life.host.frames), version)
    assert.equal(life.told.at(-1)?.state, 'committed')
  }
  return { world, disk }
}

const begin = (world: World, disk: CrashDisk, version: number): Promise<Life> =>
  Life.begin({ world, disk, manners: {}, offers: () => [world.offer(version)], seed: 1 })

test('whatever is damaged while a box is off, it starts with a whole model and makes itself good', async () => {
  const { world, disk } = await boxWithVersion2()
  const files = disk.files.filter((file) => file.startsWith('models/'))
  assert.ok(files.some((file) => file.endsWith('/record')))
  assert.ok(files.filter((file) => file.endsWith('/model.onnx')).length === 2, files.join(' '))
  const began = new Map<number | undefined, number>()
  for (const file of files) {
    for (const [how, damage] of Object.entries(damages)) {
      const one = disk.copy(randomFrom(2))
      one.damage(file, damage)
      const life = await begin(world, one, 2)
      const first = versionOf.get(life.host.frames)
      assert.ok(first !== undefined, `${file}, ${how}: frames go to ${life.host.frames}`)
      began.set(first, (began.get(first) ?? 0) + 1)
      assert.equal(await life.end(one), false)
      const text = `${file}, ${how}: ${JSON.stringify(life.told.at(-1))}`
      assert.ok(versionOf.has(life.host.frames), text)
      // The next start finds nothing more to mend.
      const again = await begin(world, one, 2)
      assert.equal(again.host.frames, life.host.frames, text)
      await again.end(one)
    }
  }
  assert.ok((began.get(2) ?? 0) > (began.get(1) ?? 0) && began.has(1), JSON.stringify([...began]))
})

test('with both slots damaged frames go to the box’s own model, and the version is fetched again', async () => {
  const { world, disk } = await boxWithVersion2()
  for (const file of disk.files.filter((name) => name.endsWith('/model.onnx'))) {
    disk.damage(file, (bytes) => bytes.fill(7))
  }
  const life = await begin(world, disk, 2)
  assert.equal(life.host.frames, 'own')
  const [first] = life.told
  assert.deepEqual([first?.state, first?.code], ['rolled-back', 'damaged'], JSON.stringify(first))
  await life.end(disk)
  // The hub hears of it and offers the version once more.
  const offer = { ...world.offer(2), attempt: 2 }
  const next = await Life.begin({ world, disk, manners: {}, offers: () => [offer], seed: 3 })
  assert.equal(await next.end(disk), false)
  assert.equal(versionOf.get(next.host.frames), 2, JSON.stringify(next.told))
})
