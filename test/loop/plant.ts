/**
 * The plant of the loop as time goes by: belts under cameras that speak HTTP, and what was true in each of their frames.
 * Cameras show the frame that the time is at; a drift changes what all of them show from that frame on.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { jpegOf } from './shots.ts'
import {
  type BeltWorld,
  type Conditions,
  createBelt,
  type TrueThing,
  undrifted,
  worldFps,
} from './world.ts'

export class Plant implements AsyncDisposable {
  readonly belts: readonly BeltWorld[]
  /** Requests that cameras have answered. */
  pictures = 0
  readonly #server: Server
  readonly #now: () => number
  readonly #startedAt: number
  readonly #changes: { readonly from: number; readonly conditions: Conditions }[] = [
    { from: 0, conditions: undrifted },
  ]
  /** The last picture of each camera: two that ask within a frame get the same. */
  readonly #last = new Map<number, { readonly frame: number; readonly jpeg: Promise<Uint8Array> }>()

  /** @param options.now monotonic, ms */
  static async open(options: {
    readonly seed: number
    readonly belts: number
    readonly now: () => number
  }): Promise<Plant> {
    const plant = new Plant(options)
    plant.#server.listen(0, '127.0.0.1')
    await once(plant.#server, 'listening')
    return plant
  }

  private constructor({
    seed,
    belts,
    now,
  }: {
    readonly seed: number
    readonly belts: number
    readonly now: () => number
  }) {
    this.belts = Array.from({ length: belts }, (_, belt) => createBelt({ seed, belt }))
    this.#now = now
    this.#startedAt = now()
    this.#server = createServer((asked, answer) => {
      const [, belt = ''] = /^\/belt\/(\d+)\.jpg$/.exec(asked.url ?? '') ?? []
      const world = this.belts[Number(belt)]
      if (belt === '' || !world) {
        answer.writeHead(404).end()
        return
      }
      this.pictures++
      this.#picture(Number(belt), world).then(
        (jpeg) => answer.writeHead(200, { 'content-type': 'image/jpeg' }).end(jpeg),
        () => answer.destroy(),
      )
    })
  }

  /** Where a camera's pictures are asked for. */
  cameraOf(belt: number): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/belt/${belt}.jpg`
  }

  /** Number of the frame that all cameras show now. */
  get frame(): number {
    return Math.floor(((this.#now() - this.#startedAt) * worldFps) / 1000)
  }

  get conditions(): Conditions {
    return this.#changes.at(-1)!.conditions
  }

  /** From the next frame on. */
  drift(conditions: Conditions): void {
    this.#changes.push({ from: this.frame + 1, conditions })
  }

  conditionsAt(frame: number): Conditions {
    return this.#changes.findLast(({ from }) => from <= frame)!.conditions
  }

  /** What was true in a frame that a camera showed. */
  truth(belt: number, frame: number): TrueThing[] {
    return this.belts[belt]!.truth(frame, this.conditionsAt(frame))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #picture(belt: number, world: BeltWorld): Promise<Uint8Array> {
    const { frame } = this
    const last = this.#last.get(belt)
    if (last?.frame === frame) return last.jpeg
    const jpeg = jpegOf(world, frame, this.conditionsAt(frame))
    this.#last.set(belt, { frame, jpeg })
    return jpeg
  }
}
