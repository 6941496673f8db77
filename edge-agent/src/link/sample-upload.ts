/**
 * Frames kept for learning, on their way to the hub: offered first, the most useful before the others, and sent in
 * parts as far as the hub wants them, after everything that is more urgent. The hub says where the next part begins, so
 * that neither a cut nor a restart sends a sample twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  deviceRoutes,
  pathOf,
  type Redaction,
  type SampleAllowance,
  SampleAnswers,
  type SampleOffer,
  SampleReceived,
  sampleOffersMax,
  samplePartBytes,
} from '@edgeloop/protocol'
import { parse, parseJson } from '@edgeloop/protocol/check'
import type { Logger } from 'pino'
import type { DeviceDay } from '../sampling/device-day.ts'
import type { KeptSample } from '../sampling/sample-disk.ts'
import type { SampleFolder } from '../sampling/sample-folder.ts'
import { uploadBackoff, waitMs } from './backoff.ts'
import type { DeviceHttps, PutResult } from './device-https.ts'
import type { UploadBudget } from './upload-budget.ts'

/** Streams whose wishes are remembered until the hub hears of them. */
const wishesMax = 256
/** Whatever the hub says, it is asked again after this long: clocks may differ. */
const waitMsMax = 6 * 3_600_000
const waitMsMin = 1_000
const probeIntervalMs = 10 * 60_000
/** Parts in a row that bring a sample no further; then it is offered anew later. */
const standstillsMax = 4

export type SampleUploadOptions = {
  readonly samples: Pick<SampleFolder, 'samples' | 'bytesOf' | 'remove' | 'revision' | 'change'>
  /** What this device may still send today. */
  readonly day: Pick<DeviceDay, 'hasRoom' | 'spend' | 'endsInMs'>
  readonly https: Pick<DeviceHttps, 'put' | 'post'>
  readonly budget: UploadBudget
  /** Resolves when the hub is there and events do not wait. */
  readonly turn: () => Promise<void>
  /** Says by the key of the box what was made unreadable. */
  readonly signed: (sample: KeptSample) => Redaction
  readonly log: Logger
  /** Wall clock, in which the hub speaks, ms. */
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly random: () => number
  readonly signal: AbortSignal
}

/** The hub could not be reached or has no time. */
class Later extends Error {
  readonly afterMs: number | undefined
  constructor({ why, afterMs }: Extract<PutResult, { kind: 'later' }>) {
    super(why)
    this.afterMs = afterMs
  }
}

export class SampleUpload {
  readonly #options: SampleUploadOptions
  readonly #wishes = new Map<string, number>()
  /** When a sample may be offered again, on the clock that is never set. */
  readonly #notBeforeMs = new Map<string, number>()
  /** What the hub allows beside what it wanted already; undefined before it has said. */
  #allowance: { frames: number; bytes: number; untilMs: number } | undefined
  /** Offers at once; one after the hub refused to read several. */
  #atOnce = sampleOffersMax
  #offeredMs = Number.NEGATIVE_INFINITY
  #sent = 0

  constructor(options: SampleUploadOptions) {
    this.#options = options
  }

  get figures(): { readonly sent: number } {
    return { sent: this.#sent }
  }

  /** Frames of a stream that its samplers would have kept; told with the next offers. */
  wish(streamId: string, frames: number): void {
    const before = this.#wishes.get(streamId)
    if (before === undefined && this.#wishes.size >= wishesMax) return
    this.#wishes.set(streamId, (before ?? 0) + frames)
  }

  /** Sends until the signal aborts. */
  async run(): Promise<void> {
    const { signal, random, log } = this.#options
    let failures = 0
    while (!signal.aborted) {
      try {
        const { revision } = this.#options.samples
        const offered = this.#toOffer()
        if (offered.length > 0) await this.#offer(offered)
        else await this.#more(revision)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        const { message, afterMs } = error as Later
        log.debug({ why: message }, 'Samples could not be sent')
        const delayMs = Math.max(afterMs ?? 0, waitMs(uploadBackoff, failures++, random()))
        await sleep(delayMs, undefined, { signal, ref: false }).catch(() => {})
      }
    }
  }

  /** What may be offered now, the most useful first, as far as day and allowance have room. */
  #toOffer(): KeptSample[] {
    const { samples, day, monotonicMs } = this.#options
    const nowMs = monotonicMs()
    if (this.#allowance && nowMs >= this.#allowance.untilMs) this.#allowance = undefined
    const there = samples.samples
    const known = new Set(there.map(({ digest }) => digest))
    for (const digest of this.#notBeforeMs.keys()) {
      if (!known.has(digest)) this.#notBeforeMs.delete(digest)
    }
    let left = this.#allowance ?? { frames: sampleOffersMax, bytes: Number.POSITIVE_INFINITY }
    const offered: KeptSample[] = []
    for (const sample of there) {
      const { digest, sizeBytes, reason } = sample
      if (offered.length >= this.#atOnce) break
      if ((this.#notBeforeMs.get(digest) ?? 0) > nowMs) continue
      // Somebody waits for it: the hub decides whether there is room.
      const isAllowed = left.frames >= 1 && left.bytes >= sizeBytes && day.hasRoom(sizeBytes)
      if (!isAllowed && reason !== 'asked' && !this.#isProbeDue(offered, nowMs)) continue
      offered.push(sample)
      left = { frames: left.frames - 1, bytes: left.bytes - sizeBytes }
    }
    return offered
  }

  /** Now and then one is offered beyond the allowance: what the hub allows depends on what it hears is wished. */
  #isProbeDue(offered: readonly KeptSample[], nowMs: number): boolean {
    return offered.length === 0 && nowMs - this.#offeredMs >= probeIntervalMs
  }

  async #offer(samples: readonly KeptSample[]): Promise<void> {
    const { signed, https, budget, turn, signal, log, monotonicMs } = this.#options
    await turn()
    this.#offeredMs = monotonicMs()
    const wishes = [...this.#wishes].map(([streamId, frames]) => ({ streamId, frames }))
    const offers = samples.map((sample): SampleOffer => {
      const { use: _, ...offer } = sample
      return { ...offer, redaction: signed(sample) }
    })
    const body = { offers, wishes }
    await budget.take('samples', JSON.stringify(body).length, signal)
    const result = await https.post(pathOf(deviceRoutes.sampleOffer), body, signal)
    if (result.kind === 'later') throw new Later(result)
    if (result.kind === 'refused') {
      const [only] = samples
      // One of them makes no sense to the hub: which one, it says when they come one by one.
      if (samples.length > 1 || !only) this.#atOnce = 1
      else await this.#giveUp(only, result.why)
      return
    }
    for (const { streamId, frames } of wishes) this.#heard(streamId, frames)
    const said = parse(
      SampleAnswers,
      parseJson(Buffer.from(result.answer ?? ''), 'answer'),
      'answer',
    )
    this.#allow(said.allowance)
    for (const sample of samples) {
      const answer = said.answers.find(({ digest }) => digest === sample.digest)
      // Neither wanted nor refused: asked again with the next.
      if (!answer) this.#wait(sample.digest, waitMsMin)
      else if (answer.act === 'send') await this.#send(sample, answer.from)
      else if (answer.act === 'have') await this.#done(sample)
      else if (answer.act === 'refuse') await this.#giveUp(sample, answer.reason)
      else {
        log.debug({ digest: sample.digest, why: answer.reason }, 'The hub wants a sample later')
        this.#wait(sample.digest, Date.parse(answer.after) - this.#options.now())
      }
    }
  }

  /** @throws {Later} when the hub cannot take it now */
  async #send(sample: KeptSample, begin: number): Promise<void> {
    const { samples, https, budget, turn, signal } = this.#options
    const { digest } = sample
    const bytes = await samples.bytesOf(digest)
    if (!bytes) return await this.#giveUp(sample, 'its file is damaged or gone')
    let standstills = 0
    for (let from = begin; ; ) {
      const part = bytes.subarray(from, from + samplePartBytes)
      await turn()
      await budget.take('samples', part.length, signal)
      const path = pathOf(deviceRoutes.samplePart, { digest }, { from })
      const result = await https.put(path, deviceRoutes.samplePart.consumes, part, signal)
      if (result.kind === 'refused') return await this.#giveUp(sample, result.why)
      // It has forgotten the offer.
      if (result.kind === 'later' && result.isUnknown) return this.#wait(digest, waitMsMin)
      if (result.kind === 'later') throw new Later(result)
      const answer = parseJson(Buffer.from(result.answer ?? ''), 'answer')
      const { next, complete } = parse(SampleReceived, answer, 'answer')
      if (complete) break
      if (next <= from && ++standstills > standstillsMax) return this.#wait(digest, waitMsMax)
      from = Math.min(next, bytes.length)
    }
    this.#sent++
    await this.#options.day.spend(sample.sizeBytes)
    await this.#done(sample)
  }

  async #done({ digest }: KeptSample): Promise<void> {
    this.#notBeforeMs.delete(digest)
    this.#atOnce = sampleOffersMax
    await this.#options.samples.remove(digest)
  }

  async #giveUp(sample: KeptSample, why: string): Promise<void> {
    this.#options.log.info({ digest: sample.digest, why }, 'A sample was given up')
    await this.#done(sample)
  }

  #wait(digest: string, forMs: number): void {
    const { monotonicMs } = this.#options
    const boundedMs = Math.min(waitMsMax, Math.max(waitMsMin, forMs))
    this.#notBeforeMs.set(digest, monotonicMs() + boundedMs)
  }

  #allow({ frames, bytes, until }: SampleAllowance): void {
    const { now, monotonicMs } = this.#options
    const forMs = Math.min(waitMsMax, Math.max(waitMsMin, Date.parse(until) - now()))
    this.#allowance = { frames, bytes, untilMs: monotonicMs() + forMs }
  }

  #heard(streamId: string, frames: number): void {
    const left = (this.#wishes.get(streamId) ?? 0) - frames
    if (left > 0) this.#wishes.set(streamId, left)
    else this.#wishes.delete(streamId)
  }

  /** Waits until there may be something to offer: a new sample, a wait that ends, an allowance or a day that does. */
  async #more(revision: number): Promise<void> {
    const { samples, day, monotonicMs, signal } = this.#options
    const nowMs = monotonicMs()
    const ends = [...this.#notBeforeMs.values(), this.#allowance?.untilMs ?? nowMs + waitMsMax]
    const later = ends.filter((ms) => ms > nowMs).map((ms) => ms - nowMs)
    const probeMs = this.#offeredMs + probeIntervalMs - nowMs
    const soonestMs = Math.min(waitMsMax, day.endsInMs(), probeMs, ...later)
    const waitsMs = samples.samples.length === 0 ? waitMsMax : Math.max(waitMsMin, soonestMs)
    const over = new AbortController()
    const ending = AbortSignal.any([signal, over.signal])
    const timer = setTimeout(() => over.abort(), waitsMs)
    timer.unref()
    await samples.change(revision, ending)
    clearTimeout(timer)
  }
}
