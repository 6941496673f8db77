/**
 * Pictures of a stream that has something to hide. Its cameras are wrapped, so that a frame gives nobody a picture but
 * through here: each picture is looked at by the models that are asked to, and what they find, or found a moment ago,
 * is made unreadable in it. Where nobody could look there is no picture.
 */
import type { Detection, Redaction } from '@edgeloop/protocol'
import { nearestName } from '@edgeloop/protocol/nearest'
import sharp from 'sharp'
import type { Camera, Frame } from '../cameras/camera.ts'
import { sizeWithin } from '../cameras/canvas.ts'
import { cropOnto } from '../cameras/crop.ts'
import type { Detected, Lane } from '../media/inference.ts'
import type { DetectOptions } from '../models/model.ts'
import { ModelError } from '../runtimes/runtime.ts'
import { HeldRegions, type Region, widened } from './held-regions.ts'
import { makeUnreadable, type RedactionMethod } from './make-unreadable.ts'

export type RedactionSettings = {
  readonly labels: readonly string[]
  /** Name of the detector that looks; undefined: the stream's own. */
  readonly model: string | undefined
  readonly scoreMin: number
  readonly margin: number
  readonly method: RedactionMethod
}

/** What was done to a picture, but for the signature. */
export type RedactionRecord = Omit<Redaction, 'signature'>

/** There is no picture, because nobody could look what must not be seen on it. */
export class NotRedacted extends Error {
  override readonly name = 'NotRedacted'
}

/** The picture in which it is looked: as wide as this where the camera is, however small the picture that is wanted. */
const lookedWidthMin = 640
/** Of the picture in between: what is left of the unreadable is encoded twice. */
const lookedQuality = 92
/** Pictures that wait for a look, of all cameras of the stream. */
const waitingMax = 4
/** A look that was replaced by a change of models is done again. */
const looksMax = 3
const nmsIou = 0.6
/** Objects that a model may find in one picture. Where it finds so many there may be more: nobody gets that picture. */
const detectionsMaxDefault = 300
/** Regions that a record may tell of. */
const regionsMax = 1000

const whole = [0, 0, 1, 1] as const
const records = new WeakMap<Uint8Array, RedactionRecord>()

/** What was made unreadable in a picture that a frame gave; `none` where its stream hides nothing but its masks. */
export const redactionOf = (jpeg: Uint8Array, masks: number): RedactionRecord =>
  records.get(jpeg) ?? { masks, method: 'none', labels: [], regions: [] }

/** The picture, or undefined where nobody could look at it: it is shown to nobody then. */
export async function pictureOf(
  frame: Frame,
  options: Parameters<Frame['jpeg']>[0],
): Promise<Uint8Array | undefined> {
  try {
    return await frame.jpeg(options)
  } catch (error) {
    if (error instanceof NotRedacted) return undefined
    throw error
  }
}

export class Redactor implements Disposable {
  readonly #settings: RedactionSettings
  readonly #masks: number
  readonly #detectionsMax: number
  readonly #lanes: readonly Lane[]
  readonly #monotonicMs: () => number
  readonly #warn: (text: string) => void
  readonly #held = new HeldRegions()
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #told = false

  private constructor(
    settings: RedactionSettings,
    lanes: readonly Lane[],
    options: Pick<RedactorOptions, 'masks' | 'monotonicMs' | 'warn' | 'detectionsMax'>,
  ) {
    this.#detectionsMax = options.detectionsMax ?? detectionsMaxDefault
    this.#settings = settings
    this.#lanes = lanes
    this.#masks = options.masks
    this.#monotonicMs = options.monotonicMs
    this.#warn = options.warn
  }

  /** @throws {ModelError} where a model cannot be opened, is no detector, or knows a label that nobody else does not */
  static async open(settings: RedactionSettings, options: RedactorOptions): Promise<Redactor> {
    using opened = new DisposableStack()
    const { labels, scoreMin } = settings
    const { detectionsMax = detectionsMaxDefault } = options
    const lanes: Lane[] = []
    const names = new Set(
      settings.model === undefined ? [options.model] : [settings.model, options.model],
    )
    for (const name of names) {
      const detect = { scoreMin, nmsIou, maxDetections: detectionsMax }
      const lane = opened.use(await options.openLane(name, detect))
      const { task, layout } = lane.model
      const isOwn = name === options.model && settings.model !== undefined
      if (task !== 'detection') {
        throw new ModelError(
          `Cannot redact with model "${lane.model.name}": layout ${layout} is for ${task}; name a detector under "redact"`,
        )
      }
      if (!isOwn || labels.some((label) => lane.model.labels.includes(label))) lanes.push(lane)
    }
    const redactor = new Redactor(settings, lanes, options)
    redactor.#requireLabels()
    opened.move()
    return redactor
  }

  /** The camera, but for its pictures. */
  over(camera: Camera): Camera {
    const redactor = this
    return {
      get info() {
        return camera.info
      },
      get counts() {
        return camera.counts
      },
      ...(camera.keyFrames && { keyFrames: camera.keyFrames }),
      async *frames() {
        for await (const frame of camera.frames()) yield new RedactedFrame(frame, redactor)
      },
      [Symbol.asyncDispose]: () => camera[Symbol.asyncDispose](),
    }
  }

  /** What the stream's own model found in a frame, pictured or not: it is held, too. */
  saw(detections: readonly Detection[]): void {
    const found = detections
      .filter(({ label }) => this.#settings.labels.includes(label))
      .map(regionOf)
    if (found.length > 0) this.#held.take(found, this.#monotonicMs())
  }

  /**
   * A picture of a frame in which nothing can be seen that must not be.
   * @throws {NotRedacted} where it cannot be known
   */
  async jpeg(frame: Frame, options: Parameters<Frame['jpeg']>[0]): Promise<Uint8Array> {
    if (this.#waiting >= waitingMax) throw new NotRedacted('too many pictures wait for a look')
    this.#waiting++
    const before = this.#turn
    const over = Promise.withResolvers<void>()
    this.#turn = over.promise
    try {
      await before
      return await this.#redact(frame, options)
    } catch (error) {
      const text = `A picture is left out, because nobody could look what must not be seen on it: ${(error as Error).message}`
      // Said once: what fails on one picture fails on most.
      if (!this.#told) this.#warn(text)
      this.#told = true
      throw new NotRedacted(text, { cause: error })
    } finally {
      this.#waiting--
      over.resolve()
    }
  }

  [Symbol.dispose](): void {
    for (const lane of this.#lanes) lane[Symbol.dispose]()
  }

  async #redact(frame: Frame, { widthMax, quality }: Parameters<Frame['jpeg']>[0]) {
    const { method, margin, labels } = this.#settings
    const looked = await frame.jpeg({
      widthMax: Math.max(widthMax, lookedWidthMin),
      quality: lookedQuality,
    })
    // Models may have been replaced by some that know other labels.
    this.#requireLabels()
    let modelDigest = ''
    const found: Region[] = []
    for (const lane of this.#lanes) {
      const { detections, digest } = await look(lane, looked)
      if (modelDigest === '') modelDigest = digest
      if (detections.length >= this.#detectionsMax) {
        throw new Error(
          `model "${lane.model.name}" found ${detections.length} objects, the most it may name`,
        )
      }
      found.push(...detections.filter(({ label }) => labels.includes(label)).map(regionOf))
    }
    const regions = this.#held
      .take(found, this.#monotonicMs())
      .map(({ label, box }) => ({ label, box: widened(box, margin) }))
    if (regions.length > regionsMax) throw new Error(`${regions.length} regions are too many`)
    const decoded = await sharp(looked).raw().toBuffer({ resolveWithObject: true })
    const { width, height, channels } = decoded.info
    const raw = { width, height, channels }
    makeUnreadable(
      { data: decoded.data, ...raw },
      regions.map(({ box }) => box),
      method,
    )
    const to = sizeWithin(width, height, widthMax)
    const picture = sharp(decoded.data, { raw })
    const sized = to.width < width ? picture.resize(to.width, to.height, { fit: 'fill' }) : picture
    const jpeg = new Uint8Array(await sized.jpeg({ quality }).toBuffer())
    records.set(jpeg, {
      masks: this.#masks,
      method,
      labels: [...labels],
      ...(modelDigest !== '' && { modelDigest }),
      regions: regions.map(({ label, box }) => ({ label, box: [...box] })),
    })
    return jpeg
  }

  /** @throws {ModelError} where a label is known to none of the models that look */
  #requireLabels(): void {
    const known = this.#lanes.flatMap(({ model }) => model.labels)
    for (const label of this.#settings.labels) {
      if (known.includes(label)) continue
      const near = nearestName(label, known)
      const models = this.#lanes.map(({ model }) => `"${model.name}"`).join(' and ')
      const hint = near === undefined ? '' : `; did you mean "${near}"?`
      throw new ModelError(
        `Cannot redact "${label}": ${models} cannot find it, so no picture is made${hint}`,
      )
    }
  }
}

export type RedactorOptions = {
  /** The stream's own model; undefined: the device's only one. */
  readonly model: string | undefined
  /** Masks that its cameras blank. */
  readonly masks: number
  readonly openLane: (model: string | undefined, options: DetectOptions) => Promise<Lane>
  /** A clock that is never set, ms. */
  readonly monotonicMs: () => number
  readonly warn: (text: string) => void
  /** Objects that each model may name in a picture; 300 unless said. */
  readonly detectionsMax?: number
}

/** The schema says four numbers; its static type only says numbers. */
const regionOf = ({ label, box: [x = 0, y = 0, w = 0, h = 0] }: Detection): Region => ({
  label,
  box: [x, y, w, h],
})

/** @throws where the model fails, or was replaced again and again */
async function look(lane: Lane, jpeg: Uint8Array): Promise<Detected> {
  for (let tries = 0; tries < looksMax; tries++) {
    const view = await cropOnto(lane, jpeg, whole)
    const detected = await lane.detect(view)
    if (detected) return detected
  }
  throw new Error(`model "${lane.model.name}" was being replaced`)
}

/** A frame whose pictures are redacted; what models and motion gate see of it is not. */
class RedactedFrame implements Frame {
  readonly #frame: Frame
  readonly #redactor: Redactor
  readonly frame: number
  readonly at: number
  readonly width: number
  readonly height: number

  constructor(frame: Frame, redactor: Redactor) {
    this.#frame = frame
    this.#redactor = redactor
    this.frame = frame.frame
    this.at = frame.at
    this.width = frame.width
    this.height = frame.height
  }

  gate(): Uint8Array {
    return this.#frame.gate()
  }

  input(target: Uint8Array): ReturnType<Frame['input']> {
    return this.#frame.input(target)
  }

  jpeg(options: Parameters<Frame['jpeg']>[0]): Promise<Uint8Array> {
    return this.#redactor.jpeg(this.#frame, options)
  }

  [Symbol.dispose](): void {
    this.#frame[Symbol.dispose]()
  }
}
