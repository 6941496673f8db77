/**
 * An update never bricks a box: the power fails at every step that changes the disk, in every kind of update, and at
 * every step of coming back, and the disk is full at every write. Each time frames go to the old or the new model,
 * whole, and the box goes on by itself to where it should be.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Offer, UpdateState } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { CrashDisk } from './crash-disk.ts'
import { digestOf, Life, type Manners, modelBytes, randomFrom, World } from './update-world.ts'

type Scenario = {
  readonly name: string
  readonly manners?: Manners
  /** What the hub offers, after these acts of the box. */
  readonly offers: (world: World, acts: ReadonlySet<string>) => readonly Offer[]
  /** Done to the hub before the update. */
  readonly before?: (world: World) => void
  /** What it comes to: version with frames, and the states that the newest update may have ended in. */
  readonly ends: { readonly version: number; readonly states: readonly UpdateState[] }
}

const toVersion2 = (world: World) => [world.offer(2)]
const scenarios: readonly Scenario[] = [
  { name: 'a good model', offers: toVersion2, ends: { version: 2, states: ['committed'] } },
  {
    name: 'a model that fails its probe',
    manners: { 2: { probe: 'probe-golden' } },
    offers: toVersion2,
    ends: { version: 1, states: ['failed'] },
  },
  {
    name: 'a model that is worse in shadow',
    manners: { 2: { shadow: 'shadow-disagreement' } },
    offers: toVersion2,
    ends: { version: 1, states: ['failed'] },
  },
  {
    name: 'a model that does not open',
    manners: { 2: { opens: false } },
    offers: toVersion2,
    ends: { version: 1, states: ['rolled-back'] },
  },
  {
    name: 'a model that is bad in probation',
    manners: { 2: { probation: 'probation-slow' } },
    offers: toVersion2,
    ends: { version: 1, states: ['rolled-back'] },
  },
  {
    name: 'a rollback that the hub asks for',
    offers: (world, acts) => [world.offer(2, acts.has('committed') ? { act: 'roll-back' } : {})],
    ends: { version: 1, states: ['rolled-back'] },
  },
  {
    name: 'an offer that another takes the place of',
    offers: (world, acts) => [world.offer(acts.has('shadow') ? 3 : 2)],
    ends: { version: 3, states: ['committed'] },
  },
  {
    name: 'an offer that is taken back',
    offers: (world, acts) => (acts.has('probe') ? [] : [world.offer(2)]),
    ends: { version: 1, states: ['cancelled', 'committed'] },
  },
  {
    name: 'a root that was rotated',
    before: (world) => world.rotateRoot(),
    offers: toVersion2,
    ends: { version: 2, states: ['committed'] },
  },
]

const digestOfVersion = new Map(
  [1, 2, 3].map((version) => [digestOf(modelBytes(version)), version]),
)

/** A box on which version 1 is committed: what every scenario begins with. */
async function boxWithVersion1(): Promise<{ world: World; disk: CrashDisk }> {
  const world = new World()
  world.publish(1)
  const disk = new CrashDisk(randomFrom(1))
  const offers = () => [world.offer(1)]
  const life = await Life.begin({ world, disk, manners: {}, offers, seed: 1 })
  assert.equal(await life.end(disk), false)
  assert.equal(digestOfVersion.get(life.host.frames), 1)
  world.publish(2)
  world.publish(3)
  return { world, disk }
}

/** One scenario on one disk, in as many lives as the power allows. */
class Trial {
  readonly #world: World
  readonly #scenario: Scenario
  readonly #seed: number
  readonly #acts = new Set<string>()
  disk: CrashDisk
  lives = 0
  life: Life | undefined

  constructor(world: World, scenario: Scenario, disk: CrashDisk, seed: number) {
    this.#world = world
    this.#scenario = scenario
    this.#seed = seed
    this.disk = disk
  }

  #offers = () => this.#scenario.offers(this.#world, this.#acts)

  /** Lives until there is nothing to do; false where the power failed first. */
  async live(): Promise<boolean> {
    this.lives++
    const { disk } = this
    try {
      this.life = await Life.begin({
        world: this.#world,
        disk,
        offers: this.#offers,
        seed: this.#seed,
        manners: this.#scenario.manners ?? {},
        onAct: (act, life) => {
          const before = JSON.stringify(this.#offers())
          this.#acts.add(act)
          if (JSON.stringify(this.#offers()) !== before) life.offer(this.#offers())
        },
      })
    } catch (error) {
      if (disk.isCut) return false
      throw error
    }
    this.#isWhole()
    if (await this.life.end(disk)) return false
    // The hub hears that it is committed, and may want something else then.
    const isCommitted = this.life.told.at(-1)?.state === 'committed'
    if (isCommitted && !this.#acts.has('committed')) {
      this.#acts.add('committed')
      if (JSON.stringify(this.#offers()) !== JSON.stringify(toVersion2(this.#world))) {
        return await this.live()
      }
    }
    return true
  }

  /** Whatever happened, frames go to a model that is whole. */
  #isWhole(): void {
    const { frames } = this.life?.host ?? {}
    assert.ok(frames !== undefined && digestOfVersion.has(frames), `frames go to ${frames}`)
  }

  /** The power comes back. */
  again(seed: number): void {
    this.disk = this.disk.afterCut(randomFrom(seed))
  }

  ended(more: readonly UpdateState[] = [], otherVersion?: number): void {
    const { version, states } = this.#scenario.ends
    this.#isWhole()
    const told = this.life?.told.at(-1)
    const has = digestOfVersion.get(this.life?.host.frames as string)
    const isMore = told !== undefined && more.includes(told.state)
    const text = `${this.#scenario.name}: version ${has}, ${told?.state} ${told?.code} ${told?.reason}`
    assert.ok(told && (states.includes(told.state) || isMore), text)
    const wanted = told.state === 'committed' ? told.version : isMore ? otherVersion : version
    assert.equal(has, wanted, text)
  }
}

type Count = { points: number; lives: number }

async function begin(scenario: Scenario) {
  const { world, disk } = await boxWithVersion1()
  scenario.before?.(world)
  const trial = (seed: number) => new Trial(world, scenario, disk.copy(randomFrom(seed)), seed)
  const calm = trial(1)
  assert.ok(await calm.live())
  calm.ended()
  return { trial, steps: calm.disk.steps, writes: calm.disk.writes }
}

/** Every `stride`th step, and for each another life that is cut as well. */
async function cutEverywhere(scenario: Scenario, stride: number, twice: number, seed: number) {
  const { trial, steps } = await begin(scenario)
  const count: Count = { points: 0, lives: 0 }
  for (let cutAt = 1 + (seed % stride); cutAt <= steps; cutAt += stride) {
    for (let second = 0; second <= twice; second++) {
      const one = trial(seed + cutAt * 131 + second)
      const random = randomFrom(seed ^ (cutAt * 7919 + second))
      one.disk.cutAt = cutAt
      let isDone = await one.live()
      if (!isDone) {
        one.again(seed + cutAt + second * 1009)
        // The first time the power stays; then it fails once more somewhere.
        if (second > 0) one.disk.cutAt = 1 + Math.floor(random() * 30)
        isDone = await one.live()
      }
      if (!isDone) {
        one.again(seed + cutAt + second * 2003)
        isDone = await one.live()
      }
      assert.ok(isDone)
      // Two cuts in probation look like a model that ends the agent.
      if (second > 0) one.ended(['rolled-back'], 1)
      else one.ended()
      count.points++
      count.lives += one.lives
    }
  }
  return count
}

/** The disk is full at each write, for one, for a few, or until the next start. */
async function fullEverywhere(scenario: Scenario, stride: number, seed: number) {
  const { trial, writes } = await begin(scenario)
  const count: Count = { points: 0, lives: 0 }
  for (let fullAt = seed % stride; fullAt < writes; fullAt += stride) {
    for (const fullFor of [1, 3, 1e9]) {
      const one = trial(seed + fullAt)
      Object.assign(one.disk, { fullAt, fullFor })
      if (fullFor > 3) {
        one.disk.cutAt = 400
        if (!(await one.live())) one.again(seed + fullAt)
        else one.disk.fullFor = 0
        one.disk.cutAt = Number.POSITIVE_INFINITY
      }
      assert.ok(await one.live())
      // No room is a good reason to stay with the old one, and none to be stuck.
      one.ended(['failed', 'rolled-back', 'timed-out'], 1)
      count.points++
      count.lives += one.lives
    }
  }
  return count
}

test('an agent that ends twice in probation begins with the model before, and says why (T5)', async () => {
  const { world, disk: first } = await boxWithVersion1()
  let disk = first
  const offers = () => [world.offer(2)]
  for (let start = 1; start <= 2; start++) {
    const one = disk
    const life = await Life.begin({
      world,
      disk: one,
      manners: {},
      offers,
      seed: start,
      onAct: (act) => {
        if (act === 'probation') one.cutAt = one.steps + 1
      },
    })
    assert.equal(await life.end(one), true, 'it ends in probation')
    assert.equal(digestOfVersion.get(life.host.frames), 2)
    disk = one.afterCut(randomFrom(start))
  }
  const life = await Life.begin({ world, disk, manners: {}, offers, seed: 3 })
  // Before a frame is looked at.
  assert.equal(digestOfVersion.get(life.host.frames), 1)
  await life.end(disk)
  const told = life.told.at(-1)
  assert.deepEqual([told?.state, told?.code], ['rolled-back', 'boot-loop'], told?.reason)
  assert.equal(digestOfVersion.get(life.host.frames), 1)
})

const anySeed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 30))

for (const [how, stride, twice] of [
  ['a share of all', 7, 1],
  ['every', 1, 2],
] as const) {
  test(
    `power may fail at ${how} steps of an update`,
    how === 'every' ? needs('time') : {},
    async () => {
      const total: Count = { points: 0, lives: 0 }
      for (const scenario of scenarios) {
        const { points, lives } = await cutEverywhere(scenario, stride, twice, anySeed)
        total.points += points
        total.lives += lives
        console.log(`# ${scenario.name}: ${points} histories, ${lives} starts`)
      }
      console.log(`# seed ${anySeed}: ${total.points} histories with ${total.lives} starts`)
    },
  )

  test(
    `the disk may be full at ${how} writes of an update`,
    how === 'every' ? needs('time') : {},
    async () => {
      const total: Count = { points: 0, lives: 0 }
      for (const scenario of scenarios) {
        const { points, lives } = await fullEverywhere(scenario, stride, anySeed)
        total.points += points
        total.lives += lives
      }
      console.log(`# seed ${anySeed}: ${total.points} histories with ${total.lives} starts`)
    },
  )
}
