/**
 * The updates of one model on this box: asks the plan what is next, performs it, writes down what came of it, and asks
 * again. Every step can be done again after a power cut, because nothing counts before the record says so.
 */
import { ArtifactError, readManifest } from '@edgeloop/model-compiler/artifact'
import {
  type Comparison,
  type Encoding,
  type Manifest,
  type Offer,
  type Update,
  type UpdateCode,
  type UpdateState,
  updateStates,
} from '@edgeloop/protocol'
import { type Backoff, waitMs } from '../link/backoff.ts'
import { type Box, manifestRefusal, pathRefusal } from './acceptance.ts'
import { type ArtifactSource, chooseEncoding, download, TransferError } from './download.ts'
import type { Candidate, ModelHost, Refused, Verdict } from './model-host.ts'
import {
  digestOf,
  type ModelRecord,
  modelFolder,
  type Passage,
  type SlotName,
  slotFolder,
  writeRecord,
} from './model-record.ts'
import {
  activated,
  changed,
  committed,
  ended,
  entered,
  rejected,
  slotFreed,
  staged,
  startsCounted,
  takenUp,
  wentBack,
} from './passage.ts'
import { activeContent, deadlineMs, freeSlot, openPassage, planUpdate, type Step } from './plan.ts'
import {
  candidateOf,
  fillSlot,
  incomingFolder,
  incomingManifest,
  markCommitted,
  openModel,
  sharedEncoding,
  tidy,
} from './slots.ts'
import { isDiskFull, removeFolder, replaceFile, type UpdateDisk } from './update-disk.ts'

/** What may be used, as signed. */
export type Signed = {
  readonly fleet: string
  find(path: string): { readonly lengthBytes: number; readonly digest: string } | undefined
}

/** Where what is signed and its bytes come from: the hub, or a bundle that was carried here. */
export type Supply = {
  readonly artifacts: ArtifactSource
  /** Asks what is signed now. @throws {TrustError} */
  readonly refreshTrust: (signal: AbortSignal) => Promise<Signed>
}

/** A file that a delta may be made against, outside the slots of the model. */
export type Base = { readonly digest: string; read(): Promise<Uint8Array> }

/** What the updates of all models of a box share. */
export type UpdateParts = {
  readonly disk: UpdateDisk
  readonly host: ModelHost
  readonly box: Box
  readonly hub: ArtifactSource
  readonly mirror: (url: string) => ArtifactSource
  /** What was carried here under this id, in place of the hub; undefined where nothing was. */
  readonly carried?: (rolloutId: string) => Supply | undefined
  /** Asks the hub what is signed now. @throws {TrustError} */
  readonly refreshTrust: (signal: AbortSignal) => Promise<Signed>
  /** Makes the model's file of an encoding, and looks whether it may be loaded. @throws {ArtifactError} */
  readonly rebuild: (
    encoding: Encoding,
    bytes: Uint8Array,
    base: Uint8Array | undefined,
    bounds: Manifest['file'],
    signal: AbortSignal,
  ) => Promise<Uint8Array>
  /** The box's own files of this model. */
  readonly bases: (name: string) => Promise<readonly Base[]>
  /** What was fetched is kept, for other boxes. */
  readonly keepsEncodings: boolean
  /** What is told has changed. */
  readonly onChange: () => void
  readonly log: {
    info(fields: object, text: string): void
    warn(fields: object, text: string): void
    error(fields: object, text: string): void
  }
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly random: () => number
}

/** Left free on the disk for everything else that the box keeps. */
export const freeBytesMin = 16 * 1024 * 1024
/** Metadata and manifest are asked for so often before the update is given up; about five minutes. */
const checksMax = 8
const checkBackoff: Backoff = { firstMs: 1000, maxMs: 60_000 }
/** The waits after a write that failed, or a model that could not be opened. */
const againBackoff: Backoff = { firstMs: 1000, maxMs: 60_000 }
/** A model that cannot be opened so often in a row gives way to the box's own. */
const runFailuresMax = 3

/** An update ends: not well. */
class UpdateFailure extends Error {
  readonly state: 'rejected' | 'failed'
  readonly code: UpdateCode

  constructor(state: 'rejected' | 'failed', code: UpdateCode, reason: string) {
    super(reason)
    this.state = state
    this.code = code
  }
}

/** What an earlier step had left is not there any more. */
class Missing extends Error {
  readonly back: 'offered' | 'downloading'

  constructor(back: 'offered' | 'downloading') {
    super('a file of the update is missing')
    this.back = back
  }
}

export class ModelUpdates {
  readonly name: string
  readonly #parts: UpdateParts
  #record: ModelRecord
  /** False where the record on disk is an older one. */
  #isSaved = true
  #offers: readonly Offer[] | undefined
  /** Ids of what was carried here since the agent started. */
  readonly #carriedIds = new Set<string>()
  /** Undefined while it is being changed. */
  #running: SlotName | null | undefined
  #runFailures = 0
  #enteredMs: number
  #changed = Promise.withResolvers<void>()
  #reconsider: (() => void) | undefined
  #isAtRest = false

  private constructor(parts: UpdateParts, record: ModelRecord) {
    this.name = record.name
    this.#parts = parts
    this.#record = record
    // The agent starts with it; whether that which has not proved itself was opened, is asked.
    const passage = openPassage(record)
    const isTrial = passage && updateStates[passage.told.state].touches
    this.#running = isTrial ? undefined : record.active
    this.#enteredMs = parts.monotonicMs()
  }

  /** Finds what is on the disk, and makes good what a power cut has left. */
  static async open(parts: UpdateParts, name: string): Promise<ModelUpdates> {
    const { log, now } = parts
    const told = (text: string) => log.error({ model: name }, text)
    return new ModelUpdates(parts, await openModel(parts, name, now(), told))
  }

  /** Nothing is under way, and nothing will be before something changes. */
  get isAtRest(): boolean {
    return this.#isAtRest && this.#isSaved
  }

  /** Passages that are remembered, oldest first. */
  get told(): readonly Update[] {
    return this.#record.passages.map(({ told }) => told)
  }

  /** The version that a file of this model is; undefined where it is none that came by an update. */
  versionOf(digest: string): number | undefined {
    const { slots } = this.#record
    return [slots.a, slots.b].find((content) => content?.digest === digest)?.version
  }

  /** The encoding that other boxes can have from here, and its file. */
  get shared(): { readonly digest: string; readonly path: string } | undefined {
    const digest = this.#parts.keepsEncodings ? sharedEncoding(this.#record) : undefined
    return digest === undefined
      ? undefined
      : { digest, path: `${incomingFolder(this.name)}/${digest}` }
  }

  /** What frames belong to; undefined where that is the box's own file. */
  async active(): Promise<Candidate | undefined> {
    const { active } = this.#record
    return active === null ? undefined : await this.#candidate(active)
  }

  /**
   * What is wanted of this model now.
   * @param offers of the hub; undefined while it has not said
   * @param carried what somebody has brought here beside
   */
  offer(offers: readonly Offer[] | undefined, carried: readonly Offer[] = []): void {
    for (const { rolloutId } of carried) this.#carriedIds.add(rolloutId)
    this.#offers = carried.length === 0 ? offers : [...(offers ?? this.#begun()), ...carried]
    this.#isAtRest = false
    this.#changed.resolve()
    this.#reconsider?.()
  }

  /** What the hub had begun before it fell silent goes on beside what is carried here. */
  #begun(): readonly Offer[] {
    const passage = openPassage(this.#record)
    return passage && !this.#carriedIds.has(passage.offer.rolloutId) ? [passage.offer] : []
  }

  /** Whether an update by this offer has come to an end here. */
  isAnswered({ rolloutId, version }: Offer): boolean {
    const open = openPassage(this.#record)
    return this.#record.passages.some(
      (passage) =>
        passage !== open &&
        passage.offer.rolloutId === rolloutId &&
        passage.offer.version === version,
    )
  }

  /** Performs step after step until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers()
      const step = this.#plan()
      try {
        await this.#saveWhatWaits(step)
        if (step.do === 'rest') await this.#rest(signal)
        else await this.#performInTime(step, signal)
        failures = 0
      } catch (error) {
        if (signal.aborted) break
        if (isDiskFull(error) && (await this.#isGivenUp())) continue
        const { log, sleep, random } = this.#parts
        const why = (error as Error).message
        log.error({ model: this.name, step: step.do, why }, 'A step of an update failed')
        await sleep(waitMs(againBackoff, failures++, random()), signal).catch(() => {})
      }
    }
    await this.#stopped()
  }

  #plan(): Step {
    const { now, monotonicMs } = this.#parts
    return planUpdate(this.#record, this.#offers, {
      now: now(),
      inStateMs: monotonicMs() - this.#enteredMs,
      running: this.#running,
    })
  }

  /** What went back without being written down is written now; giving frames back does not wait for it. */
  async #saveWhatWaits(step: Step): Promise<void> {
    if (this.#isSaved) return
    await this.#save(this.#record).catch((error) => {
      if (step.do !== 'run') throw error
    })
  }

  /** Ends an update for which there is no room. False where frames belong to it, or even that cannot be written. */
  async #isGivenUp(): Promise<boolean> {
    const passage = openPassage(this.#record)
    if (!passage || updateStates[passage.told.state].touches) return false
    const end = { state: 'failed', code: 'disk-full', reason: 'The disk is full' } as const
    return await this.#end(end).then(
      () => true,
      () => false,
    )
  }

  async #rest(signal: AbortSignal): Promise<void> {
    const stop = () => this.#changed.resolve()
    signal.addEventListener('abort', stop, { once: true })
    this.#isAtRest = true
    await this.#changed.promise
    this.#isAtRest = false
    signal.removeEventListener('abort', stop)
  }

  /** An end that was wanted is none that points at the candidate. */
  async #stopped(): Promise<void> {
    const passage = openPassage(this.#record)
    if (!passage || passage.starts === 0) return
    await this.#save(startsCounted(this.#record, 0)).catch(() => {})
  }

  /** Performs a step, and breaks it off when the plan, with other offers or at a deadline, is another. */
  async #performInTime(step: Step, signal: AbortSignal): Promise<void> {
    const control = new AbortController()
    this.#reconsider = () => {
      const next = this.#plan()
      // Other limits count from the next step on.
      if (next.do !== step.do && next.do !== 'follow') control.abort(new Error('the plan changed'))
    }
    const passage = openPassage(this.#record)
    const leftMs = passage
      ? deadlineMs(passage) - (this.#parts.monotonicMs() - this.#enteredMs)
      : Number.POSITIVE_INFINITY
    const timer =
      leftMs < timerMsMax
        ? setTimeout(() => this.#reconsider?.(), Math.max(0, leftMs) + 1)
        : undefined
    timer?.unref()
    try {
      await this.#perform(step, AbortSignal.any([signal, control.signal]))
    } catch (error) {
      if (signal.aborted || !control.signal.aborted || isDiskFull(error)) throw error
    } finally {
      clearTimeout(timer)
      this.#reconsider = undefined
    }
  }

  async #perform(step: Step, signal: AbortSignal): Promise<void> {
    const record = this.#record
    const now = this.#parts.now()
    switch (step.do) {
      case 'rest':
        return
      case 'take-up':
        return await this.#save(takenUp(record, step.offer, now))
      case 'reject':
        return await this.#save(rejected(record, step.offer, { ...step, state: 'rejected' }, now))
      case 'follow':
        return await this.#save(changed(record, (passage) => ({ ...passage, offer: step.offer })))
      case 'end':
        return await this.#end(step)
      case 'enter':
        return await this.#save(entered(record, step.state, now))
      case 'activate':
        return await this.#save(activated(record, now))
      case 'run':
        return await this.#runActive(signal)
      case 'watch':
        return await this.#watch(signal)
      case 'go-back':
        return await this.#goBack(step)
      default:
        return await this.#tryStep(step.do, signal)
    }
  }

  /** A step of a candidate that touches nothing that runs: whatever it throws ends the update, or is tried again. */
  async #tryStep(
    step: 'check' | 'download' | 'rebuild' | 'probe' | 'shadow',
    signal: AbortSignal,
  ): Promise<void> {
    const passage = openPassage(this.#record)
    if (!passage) return
    try {
      if (step === 'check') await this.#check(passage, signal)
      else if (step === 'download') await this.#download(passage, signal)
      else if (step === 'rebuild') await this.#rebuild(passage, signal)
      else if (step === 'probe') await this.#probe(passage, signal)
      else await this.#shadow(passage, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Missing) {
        return await this.#save(entered(this.#record, error.back, this.#parts.now()))
      }
      const { state, code } = failureOf(error)
      await this.#end({ state, code, reason: (error as Error).message })
    }
  }

  /** offered → downloading: is it signed, and for this box? */
  async #check(passage: Passage, signal: AbortSignal): Promise<void> {
    const { box, disk, now } = this.#parts
    const { offer } = passage
    refuse(pathRefusal(offer, box))
    const supply = this.#supply(offer)
    const signed = await this.#again((again) => supply.refreshTrust(again), signal)
    const { path, digest, lengthBytes } = offer.manifest
    const entry = signed.find(path)
    if (!entry) throw new UpdateFailure('rejected', 'trust', `Nobody has signed "${path}"`)
    if (entry.digest !== digest || entry.lengthBytes !== lengthBytes) {
      const reason = `"${path}" is offered with digest ${digest}, and signed with ${entry.digest}`
      throw new UpdateFailure('rejected', 'integrity', reason)
    }
    const { artifacts } = supply
    const bytes = await this.#again((again) => fetchWhole(artifacts, entry, again), signal)
    const manifest = readManifest(bytes)
    refuse(manifestRefusal(manifest, offer, box, signed.fleet, now()))
    const content = activeContent(this.#record)
    if (content?.committed && content.version === offer.version) {
      // It runs here already, by another rollout.
      if (content.digest === manifest.file.digest) {
        return await this.#save(entered(this.#record, 'committed', now()))
      }
    }
    const encoding = await this.#choose(manifest)
    await this.#checkRoom(manifest, encoding.lengthBytes)
    await removeFolder(disk, incomingFolder(this.name))
    await replaceFile(disk, incomingManifest(this.name), bytes)
    await disk.syncFolder(modelFolder(this.name))
    await this.#save(entered(this.#chosen(encoding), 'downloading', now()))
  }

  #supply({ rolloutId }: Offer): Supply {
    const { carried, hub, refreshTrust } = this.#parts
    return carried?.(rolloutId) ?? { artifacts: hub, refreshTrust }
  }

  #chosen({ digest, codec, lengthBytes }: Encoding): ModelRecord {
    return changed(this.#record, (passage) => ({
      ...passage,
      encoding: digest,
      told: { ...passage.told, bytes: { ...passage.told.bytes, codec, total: lengthBytes } },
    }))
  }

  /** downloading → verified */
  async #download(passage: Passage, signal: AbortSignal): Promise<void> {
    const { disk, mirror, log, sleep, monotonicMs, random, now } = this.#parts
    const { artifacts: hub } = this.#supply(passage.offer)
    const { manifest } = await this.#incoming(passage)
    const encoding = await this.#choose(manifest)
    if (encoding.digest !== passage.encoding) await this.#save(this.#chosen(encoding))
    const path = `${incomingFolder(this.name)}/${encoding.digest}`
    const there = (await disk.size(path)) ?? 0
    await this.#checkRoom(manifest, encoding.lengthBytes - there)
    // So that boxes that were offered it together do not come together.
    if (there === 0) await sleep(passage.offer.jitterMs * random(), signal)
    const before = passage.told.bytes
    let toldMs = Number.NEGATIVE_INFINITY
    await download({
      encoding,
      disk,
      path,
      hub,
      sleep,
      monotonicMs,
      random,
      signal,
      mirrors: passage.offer.mirrors.map(mirror),
      bytesPerSecondMax: passage.offer.bytesPerSecondMax,
      told: ({ done, fromHub, fromMirrors }) => {
        const bytes = {
          codec: encoding.codec,
          total: encoding.lengthBytes,
          done,
          fromHub: before.fromHub + fromHub,
          fromMirrors: before.fromMirrors + fromMirrors,
        }
        this.#tell((told) => ({ ...told, bytes }))
        if (monotonicMs() - toldMs < tellIntervalMs) return
        toldMs = monotonicMs()
        this.#parts.onChange()
      },
      onBadMirror: (name, why) =>
        log.warn({ model: this.name, mirror: name, why }, 'A mirror is asked no more'),
    })
    await this.#save(entered(this.#record, 'verified', now()))
  }

  /** verified → staged */
  async #rebuild(passage: Passage, signal: AbortSignal): Promise<void> {
    const { disk, rebuild, now } = this.#parts
    const { manifest, bytes } = await this.#incoming(passage)
    const encoding = manifest.encodings.find(({ digest }) => digest === passage.encoding)
    const path = `${incomingFolder(this.name)}/${passage.encoding}`
    const came = await disk.read(path)
    if (!encoding || !came || digestOf(came) !== encoding.digest) throw new Missing('downloading')
    const base = (await this.#bases()).find(({ digest }) => digest === encoding.baseDigest)
    if (encoding.baseDigest !== undefined && !base) throw new Missing('downloading')
    const model = await rebuild(encoding, came, await base?.read(), manifest.file, signal)
    const slot = freeSlot(this.#record)
    await this.#save(slotFreed(this.#record))
    await fillSlot(disk, slot, model, bytes, manifest)
    await this.#save(staged(this.#record, manifest.file.digest, now()))
    await this.#tidy()
  }

  /** staged → probed */
  async #probe({ slot }: Passage, signal: AbortSignal): Promise<void> {
    const { host, log, now } = this.#parts
    const report = await host.probe(await this.#candidate(slot), signal)
    if (!report.ok) throw refused(report)
    log.info({ model: this.name, ...report }, 'A candidate was probed')
    await this.#save(entered(this.#record, 'probed', now()))
  }

  /** Stays in shadowing, from where it may be activated. */
  async #shadow({ slot, offer }: Passage, signal: AbortSignal): Promise<void> {
    const told = (shadow: Comparison) => this.#compared({ shadow })
    const verdict = await this.#parts.host.shadow(
      await this.#candidate(slot),
      offer.care,
      told,
      signal,
    )
    this.#judged('shadow', verdict)
    await this.#save(changed(this.#record, (passage) => ({ ...passage, shadowed: true })))
  }

  /** activating, probation or none: what frames belong to gets them. */
  async #runActive(signal: AbortSignal): Promise<void> {
    const { host, log, sleep, random, now } = this.#parts
    const { active } = this.#record
    this.#running = undefined
    try {
      await host.activate(this.name, await this.active(), signal)
      this.#running = active
      this.#runFailures = 0
    } catch (error) {
      signal.throwIfAborted()
      const reason = (error as Error).message
      const passage = openPassage(this.#record)
      if (passage && updateStates[passage.told.state].touches) {
        return await this.#goBack({ state: 'rolled-back', code: 'probation-crash', reason })
      }
      const failures = ++this.#runFailures
      log.error({ model: this.name, why: reason }, 'Cannot go on with a model')
      if (active !== null && failures >= runFailuresMax) {
        return await this.#goBack({ state: 'rolled-back', code: 'damaged', reason })
      }
      await sleep(waitMs(againBackoff, failures, random()), signal)
      return
    }
    log.info({ model: this.name, at: now(), slot: active }, 'Frames go to another model')
    this.#parts.onChange()
    await this.#tidy()
  }

  /** probation → committed, or back. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { host, disk, now } = this.#parts
    const passage = openPassage(this.#record)
    if (!passage) return
    const told = (probation: Comparison) => this.#compared({ probation })
    const candidate = await this.#candidate(this.#record.active ?? undefined)
    let verdict: Verdict
    try {
      verdict = await host.probation(candidate, passage.offer.care, told, signal)
    } catch (error) {
      signal.throwIfAborted()
      verdict = { ok: false, code: 'internal', reason: (error as Error).message }
    }
    if (verdict.comparison) this.#compared({ probation: verdict.comparison })
    if (!verdict.ok) return await this.#goBack({ ...verdict, state: 'rolled-back' })
    const content = activeContent(this.#record)
    if (!content || !this.#record.active) return
    await markCommitted(disk, this.name, this.#record.active, content)
    await this.#save(committed(this.#record, now()))
  }

  /** The update ends, and what it has brought is removed. */
  async #end(end: { state: UpdateState; code?: UpdateCode; reason: string }): Promise<void> {
    const record = ended(this.#record, end, this.#parts.now())
    try {
      await this.#save(record)
    } catch (error) {
      if (!isDiskFull(error)) throw error
      // The candidate's own files make room to say that it is no more.
      await this.#makeRoom()
      await this.#save(record)
    }
    await this.#tidy()
  }

  /** Every file of the candidate goes, which frames do not need. */
  async #makeRoom(): Promise<void> {
    const { disk } = this.#parts
    await removeFolder(disk, incomingFolder(this.name))
    const slot = openPassage(this.#record)?.slot
    if (slot && slot !== this.#record.active) await removeFolder(disk, slotFolder(this.name, slot))
  }

  /** Holds at once, also where it cannot be written down yet: the plan then gives frames back. */
  async #goBack(end: { state: UpdateState; code?: UpdateCode; reason: string }): Promise<void> {
    const { log, now } = this.#parts
    log.error({ model: this.name, code: end.code, why: end.reason }, 'A model is rolled back')
    this.#take(wentBack(this.#record, end, now()))
    this.#isSaved = false
    // Where it cannot be written, frames go back all the same, and it is written as soon as it can be.
    await this.#save(this.#record).catch((error: Error) =>
      log.error({ model: this.name, why: error.message }, 'Cannot write down that it went back'),
    )
  }

  /** What was verified before, or `Missing` where it has gone since. */
  async #incoming({ offer }: Passage): Promise<{ manifest: Manifest; bytes: Uint8Array }> {
    const bytes = await this.#parts.disk.read(incomingManifest(this.name))
    if (!bytes || digestOf(bytes) !== offer.manifest.digest) throw new Missing('offered')
    return { manifest: readManifest(bytes), bytes }
  }

  async #choose(manifest: Manifest): Promise<Encoding> {
    const here = new Set((await this.#bases()).map(({ digest }) => digest))
    const encoding = chooseEncoding(manifest.encodings, here)
    if (!encoding) throw new UpdateFailure('failed', 'internal', 'It travels in no way that fits')
    return encoding
  }

  /** What a delta can be applied to: what has frames, and the box's own; never the slot that is to be filled. */
  async #bases(): Promise<readonly Base[]> {
    const { disk, bases } = this.#parts
    const { active } = this.#record
    const content = activeContent(this.#record)
    const own = await bases(this.name)
    if (!active || !content) return own
    const path = `${slotFolder(this.name, active)}/model.onnx`
    const read = async () => (await disk.read(path)) ?? new Uint8Array()
    return [{ digest: content.digest, read }, ...own]
  }

  async #checkRoom({ file }: Manifest, encodedBytes: number): Promise<void> {
    const freeBytes = await this.#parts.disk.freeBytes()
    const neededBytes = encodedBytes + file.lengthBytes + freeBytesMin
    if (freeBytes >= neededBytes) return
    const reason = `${freeBytes} bytes of the disk are free, and it needs ${neededBytes} with what is left for everything else`
    throw new UpdateFailure('failed', 'disk-full', reason)
  }

  /** Asks again for what the network may give later. */
  async #again<T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { sleep, random } = this.#parts
    for (let failures = 0; ; failures++) {
      try {
        return await ask(signal)
      } catch (error) {
        signal.throwIfAborted()
        const isFinal = (error as { code?: unknown }).code === 'integrity' || isDiskFull(error)
        if (isFinal || failures + 1 >= checksMax) throw error
        await sleep(waitMs(checkBackoff, failures, random()), signal)
      }
    }
  }

  async #candidate(slot: SlotName | undefined): Promise<Candidate> {
    if (slot === undefined) throw new Error(`Model "${this.name}" has no candidate`)
    return await candidateOf(this.#parts.disk, this.name, slot)
  }

  #judged(stage: 'shadow' | 'probation', verdict: Verdict): void {
    if (verdict.comparison) this.#compared({ [stage]: verdict.comparison })
    if (!verdict.ok) throw refused(verdict)
  }

  #compared(comparison: Pick<Update, 'shadow' | 'probation'>): void {
    this.#tell((told) => ({ ...told, ...comparison }))
    this.#parts.onChange()
  }

  /** Changes what is told, and nothing that counts; written with the next step. */
  #tell(change: (told: Update) => Update): void {
    if (!openPassage(this.#record)) return
    this.#record = changed(this.#record, (passage) => ({ ...passage, told: change(passage.told) }))
  }

  async #save(record: ModelRecord): Promise<void> {
    await writeRecord(this.#parts.disk, record)
    this.#isSaved = true
    this.#take(record)
  }

  #take(record: ModelRecord): void {
    const stateOf = ({ passages }: ModelRecord) => passages.at(-1)?.told.history.length
    if (stateOf(record) !== stateOf(this.#record)) this.#enteredMs = this.#parts.monotonicMs()
    const told = record.passages.at(-1)?.told
    if (told && told.since !== this.#record.passages.at(-1)?.told.since) {
      const { version, state, code, reason } = told
      this.#parts.log.info({ model: this.name, version, state, code, reason }, 'Update')
    }
    this.#record = record
    this.#parts.onChange()
  }

  async #tidy(): Promise<void> {
    await tidy(this.#parts, this.#record).catch((error: Error) =>
      this.#parts.log.warn(
        { model: this.name, why: error.message },
        'Cannot remove what an update has left',
      ),
    )
  }
}

/** Progress is told so often at most. */
const tellIntervalMs = 1000
/** What a timer can wait for. */
const timerMsMax = 2 ** 31 - 1

/** A small file by its digest, whole. */
async function fetchWhole(
  source: ArtifactSource,
  { digest, lengthBytes }: { readonly digest: string; readonly lengthBytes: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const answer = await source.open(digest, 0, signal)
  if (answer.kind !== 'bytes') {
    throw new TransferError('download', `The hub does not give ${digest}: it is ${answer.kind}`)
  }
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of answer.bytes) {
    parts.push(part)
    length += part.length
    if (length >= lengthBytes) break
  }
  const bytes = Buffer.concat(parts)
  if (bytes.length < lengthBytes) throw new TransferError('download', 'It broke off')
  if (bytes.length === lengthBytes && digestOf(bytes) === digest) return bytes
  throw new TransferError('integrity', `The hub gives other bytes for ${digest} than were signed`)
}

function refuse(refusal: { code: UpdateCode; reason: string } | undefined): void {
  if (refusal) throw new UpdateFailure('rejected', refusal.code, refusal.reason)
}

const refused = ({ code, reason }: Refused): UpdateFailure =>
  new UpdateFailure(code === 'model-refused' ? 'rejected' : 'failed', code, reason)

function failureOf(error: unknown): { state: 'rejected' | 'failed'; code: UpdateCode } {
  if (error instanceof UpdateFailure) return error
  if (isDiskFull(error)) return { state: 'failed', code: 'disk-full' }
  if (error instanceof TransferError) {
    return { state: error.code === 'integrity' ? 'rejected' : 'failed', code: error.code }
  }
  if (error instanceof ArtifactError) {
    return { state: 'rejected', code: error.code === 'model-refused' ? error.code : 'integrity' }
  }
  const { code } = error as { code?: unknown }
  if (code === 'integrity' || code === 'trust') return { state: 'rejected', code }
  return { state: 'failed', code: 'internal' }
}
