/**
 * Watches how good the boxes are: AP50 of the model that a box says it runs, on frames of the box's present scene that
 * no camera shows and nobody labels.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { HubClient } from '../../cli/src/hub-client.ts'
import { type Measured, measure } from './measure.ts'
import type { Plant } from './plant.ts'
import { type Shot, takeShot } from './shots.ts'
import { type BoxName, runningOn } from './stage.ts'
import type { Conditions } from './world.ts'

/** Frames of one box in one scene that it is measured on. */
const frames = 24
/** Far beyond what cameras will show. */
const firstFrame = 4_000_000
const frameStep = 97
const lookIntervalMs = 1000

/** A box came to run something else, or looks at something else. */
export type Sight = {
  /** Since the observer began, s. */
  readonly seconds: number
  readonly box: BoxName
  readonly version: number
  readonly digest: string
  readonly measured: Measured
}

export type ObserverOptions = {
  readonly hub: HubClient
  readonly plant: Plant
  /** In the order of their belts. */
  readonly boxes: readonly BoxName[]
  /** Name of the model. */
  readonly model: string
  /** The file with this digest, its description beside it. */
  readonly fileOf: (digest: string, version: number) => Promise<string>
  readonly told: (sight: Sight) => void
}

export class Observer {
  readonly sights: Sight[] = []
  readonly #options: ObserverOptions
  readonly #startedAt = performance.now()
  #looking: Promise<unknown> = Promise.resolve()
  readonly #shots = new Map<string, Promise<Shot[]>>()
  readonly #measured = new Map<string, Promise<Measured>>()
  readonly #now = new Map<BoxName, { readonly key: string; readonly sight: Sight }>()

  constructor(options: ObserverOptions) {
    this.#options = options
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000
  }

  /** Looks at all boxes every second until the signal. A look that fails is made again; the last fault is thrown at the end of a minute of them. */
  async watch(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      try {
        await this.look()
        failures = 0
      } catch (error) {
        failures++
        if (failures > 60 && !signal.aborted) throw error
      }
      await sleep(lookIntervalMs, undefined, { signal }).catch(() => {})
    }
  }

  /** How good every box is now. One look after the other. @throws when a box says nothing of its model */
  look(): Promise<Sight[]> {
    const looking = this.#looking.then(() => this.#look())
    this.#looking = looking.catch(() => {})
    return looking
  }

  async #look(): Promise<Sight[]> {
    const { hub, plant, boxes, model, told } = this.#options
    const seen: Sight[] = []
    for (const [belt, box] of boxes.entries()) {
      const running = await runningOn(hub, box, model)
      if (!running) throw new Error(`Box ${box} does not say what it runs`)
      const { conditions } = plant
      const key = `${running.digest} ${belt} ${JSON.stringify(conditions)}`
      const before = this.#now.get(box)
      if (before?.key === key) {
        seen.push(before.sight)
        continue
      }
      const measured = await this.#measure(key, running, belt, conditions)
      const { version, digest } = running
      const sight = { seconds: this.seconds, box, version, digest, measured }
      this.#now.set(box, { key, sight })
      this.sights.push(sight)
      seen.push(sight)
      told(sight)
    }
    return seen
  }

  #measure(
    key: string,
    { digest, version }: { readonly digest: string; readonly version: number },
    belt: number,
    conditions: Conditions,
  ): Promise<Measured> {
    const found = this.#measured.get(key)
    if (found) return found
    const made = (async () => {
      const file = await this.#options.fileOf(digest, version)
      return await measure({ file }, await this.#framesOf(belt, conditions))
    })()
    this.#measured.set(key, made)
    // What failed is tried again.
    made.catch(() => this.#measured.delete(key))
    return made
  }

  #framesOf(belt: number, conditions: Conditions): Promise<Shot[]> {
    const key = `${belt} ${JSON.stringify(conditions)}`
    const found = this.#shots.get(key)
    if (found) return found
    const world = this.#options.plant.belts[belt]!
    const made = (async () => {
      const shots: Shot[] = []
      for (let at = 0; at < frames; at++) {
        shots.push(await takeShot(world, firstFrame + at * frameStep, conditions))
      }
      return shots
    })()
    this.#shots.set(key, made)
    return made
  }
}
