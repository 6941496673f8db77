/**
 * Sampling of one running stream: what its chooser chooses becomes a picture on the disk, and what it remembers is
 * written down with every picture, so that a killed process spends nothing twice.
 */
import { type SampleReason, sampleBytesMax } from '@edgeloop/protocol'
import sharp from 'sharp'
import type { Frame, InputView } from '../cameras/camera.ts'
import { pictureOf, redactionOf } from '../privacy/redactor.ts'
import { type Ask, type Choice, Chooser, type ChooserOptions } from './chooser.ts'
import type { FrameFacts } from './facts.ts'
import { looksOf } from './looks.ts'
import { type KeptSample, readState, writeSample, writeState } from './sample-disk.ts'

/** Sampling as it runs: every default filled in. */
export type SamplingSettings = {
  readonly framesPerDay: number
  readonly bytesPerDay: number
  readonly reasons: readonly SampleReason[]
  readonly randomShare: number
  readonly rareLabels: readonly string[] | undefined
  readonly intervalMinMs: number
  readonly widthMax: number
}

/** Pictures for learning are less compressed than those for people. */
const quality = 85
/** Writes that are under way; of more the newest is left out. */
const writesMax = 2
/** How often what is remembered is written without a picture: a bucket that fills is no news. */
const stateIntervalMs = 60_000
/** What a box says of a frame's place: no model's box is sharper. */
const places = 1e5

export type SamplerDeps = Pick<ChooserOptions, 'now' | 'monotonicMs' | 'random'> & {
  readonly streamId: string
  readonly folder: string
  /** Told when a sample is complete in `folder`. */
  readonly announce: (digest: string) => void
  readonly warn: (text: string) => void
}

export class StreamSampler {
  readonly #settings: SamplingSettings
  readonly #deps: SamplerDeps
  readonly #chooser: Chooser
  #writing: Promise<void> = Promise.resolve()
  #writes = 0
  #savedMs: number
  #warned = false

  static async open(settings: SamplingSettings, deps: SamplerDeps): Promise<StreamSampler> {
    return new StreamSampler(settings, deps, await readState(deps.folder, deps.streamId))
  }

  private constructor(
    settings: SamplingSettings,
    deps: SamplerDeps,
    state: Awaited<ReturnType<typeof readState>>,
  ) {
    this.#settings = settings
    this.#deps = deps
    const { reasons, rareLabels, intervalMinMs, framesPerDay, bytesPerDay, randomShare } = settings
    const { now, monotonicMs, random } = deps
    const budget = {
      framesPerDay,
      bytesPerDay,
      randomShare: reasons.includes('random') ? randomShare : 0,
    }
    const options = { budget, reasons, rareLabels, intervalMinMs, now, monotonicMs, random }
    this.#chooser = new Chooser(options, state)
    this.#savedMs = monotonicMs()
  }

  ask(ask: Ask): void {
    this.#chooser.ask(ask)
  }

  takeWishes(): number {
    return this.#chooser.takeWishes()
  }

  /**
   * Looks at an analysed frame, and keeps it where it is worth it.
   * @param canvas what the model was fed
   * @param about who said what of the frame, and how many masks its camera blanks
   */
  async look(
    frame: Frame,
    facts: FrameFacts,
    canvas: { bytes: Uint8Array; view: InputView },
    { model, masks }: Pick<KeptSample, 'model'> & { readonly masks: number },
  ): Promise<void> {
    const choice = this.#chooser.consider(facts, () => looksOf(frame.gate(), canvas))
    const { monotonicMs } = this.#deps
    if (!choice) {
      if (monotonicMs() - this.#savedMs >= stateIntervalMs) this.#write(async () => {})
      return
    }
    if (this.#writes >= writesMax) return
    const jpeg = await pictureOf(frame, { widthMax: this.#settings.widthMax, quality })
    if (!jpeg || jpeg.length > sampleBytesMax) return
    this.#chooser.kept(choice, jpeg.length)
    // As it was made: a decoder may keep fewer pixels than were asked for.
    const { width, height } = await sharp(jpeg).metadata()
    const redaction = redactionOf(jpeg, masks)
    const about = { width, height, model, redaction }
    const record = { ...recordOf(choice, this.#deps.streamId, frame.at), ...about }
    this.#write(async () => {
      const { folder, announce } = this.#deps
      announce(await writeSample(folder, jpeg, record))
    })
  }

  /** Settles when everything is written. */
  async settle(): Promise<void> {
    await this.#writing
  }

  #write(what: () => Promise<void>): void {
    const { folder, streamId, warn, monotonicMs } = this.#deps
    this.#savedMs = monotonicMs()
    this.#writes++
    this.#writing = this.#writing.then(async () => {
      try {
        // Paid for before it is there: a picture that is lost with the process is not taken twice.
        await writeState(folder, streamId, this.#chooser.state)
        await what()
      } catch (error) {
        // Said once: what a full disk refuses now it refuses again.
        if (!this.#warned) warn((error as Error).message)
        this.#warned = true
      } finally {
        this.#writes--
      }
    })
  }
}

function recordOf(
  { reason, why, probability, use, looks, detections }: Choice,
  streamId: string,
  at: number,
) {
  return {
    streamId,
    capturedAt: new Date(at).toISOString(),
    reason,
    why,
    probability,
    use: Math.min(1, use),
    looks: looks.hash,
    embedding: [...looks.embedding],
    detections: detections.map(({ label, score, box }) => ({
      label,
      score,
      box: box.map((share) => Math.min(1, Math.max(0, Math.round(share * places) / places))),
    })),
  }
}
