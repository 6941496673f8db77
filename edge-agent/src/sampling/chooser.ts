/**
 * Chooses which frames of one stream are kept for learning: asks every sampler, lets go what was sent already, and
 * spends the day's budget on what is worth most. Deterministic but for the chance it is given.
 */
import type { SampleDetection, SampleReason } from '@edgeloop/protocol'
import { sampleDetectionsMax } from '@edgeloop/protocol'
import { type Static, Type } from 'typebox'
import { type Finding, type FrameFacts, usesTogether } from './facts.ts'
import { inconsistent, type TrackMemory } from './inconsistent.ts'
import { followKnown, type KnownThings, withKnown } from './known-things.ts'
import type { Looks } from './looks.ts'
import { isNearDuplicate, Sent, sentMax } from './near-duplicate.ts'
import { type Cover, coverMax, distanceTo, novel, withCentre } from './novel.ts'
import {
  advance,
  type Budget,
  bucketShare,
  costOf,
  drawRandom,
  firstSpent,
  hasRoom,
  type Purse,
  pay,
  Spent,
} from './pace.ts'
import { type LabelMemory, noLabels, rare } from './rare.ts'
import { knownShare, uncertain } from './uncertain.ts'
import { type MotionMemory, noMotion, unseenMotion } from './unseen-motion.ts'

const closed = { additionalProperties: false } as const

/** What a chooser remembers over restarts. */
export const ChooserState = Type.Object(
  {
    spent: Spent,
    sent: Type.Array(Sent, { maxItems: sentMax }),
    cover: Type.Array(Type.Array(Type.Number(), { maxItems: 256 }), { maxItems: coverMax }),
    labels: Type.Record(Type.String(), Type.Number({ minimum: 0 }), { maxProperties: 2_000 }),
    /** Bytes of a usual picture. */
    bytes: Type.Number({ minimum: 0 }),
  },
  closed,
)
export type ChooserState = Static<typeof ChooserState>

export type ChooserOptions = {
  readonly budget: Budget
  readonly reasons: readonly SampleReason[]
  readonly rareLabels: readonly string[] | undefined
  readonly intervalMinMs: number
  /** Wall clock, ms. */
  readonly now: () => number
  /** A clock that is never set, ms. */
  readonly monotonicMs: () => number
  /** 0..1 */
  readonly random: () => number
}

/** A frame that is to be kept. */
export type Choice = {
  readonly reason: SampleReason
  readonly why: string
  /** With which a frame like this one is kept. */
  readonly probability: number
  readonly use: number
  readonly looks: Looks
  readonly detections: readonly SampleDetection[]
  readonly purse: Purse
  readonly tracks: readonly number[]
  readonly things: Sent['things']
}

/**
 * What was learned elsewhere of a stream's next frames. `asked`: somebody wants them, whatever they show and whatever
 * was spent; `disagreement`: two models differ on what it shows just now, which is one more reason.
 */
export type Ask = {
  readonly reason: 'asked' | 'disagreement'
  readonly frames: number
  readonly why: string
  /** What does not come within this time is not wanted any more, ms. */
  readonly withinMs: number
}

/** A reason with less use than this is none. */
const useMin = 0.12
/** Of what a frame is kept for so much has to be new, unless the bucket is nearly full and would run over. */
const freshMin = 0.7
const nearlyFull = 0.9
/** How often a frame is looked at for being new: looks are what costs. */
const novelIntervalMs = 1_000
/** A scene that shows what was sent already is not compared again before this. */
const alikeMs = 1_000
/** Uses of candidates that say what is usual. */
const usesMax = 200
/** Fewer say nothing of what is usual. */
const usesMin = 10
/** The reserve pays for what is worth more than this share of candidates, and at least so much. */
const reserveQuantile = 0.8
const reserveUseMin = 0.35
/** At an empty bucket only what is above this share of candidates is paid from it. */
const strictest = 0.9
/** A frame stands for no longer than this, however long ago the one before it was. */
const standsForMsMax = 15_000
/** Believed until the first picture was made, bytes. */
const bytesAtFirst = 120_000
/** Most requests that wait. */
const asksMax = 16
const useOf = { asked: 1, random: 0.5, disagreement: 0.6 }
/** Tracks of which it is remembered that they were kept. */
const keptTracksMax = 512
const probabilityMin = 1e-6
/** Things that count when two frames are compared: at least this share of the threshold. */
const thingShare = 0.7

export class Chooser {
  readonly #options: ChooserOptions
  #spent: Spent
  #measuredMs: number
  #tracks: TrackMemory = new Map()
  #motion: MotionMemory = noMotion
  #labels: LabelMemory = noLabels
  #cover: Cover
  #sent: readonly Sent[]
  #bytes: number
  /** Uses of the newest candidates, in a ring. */
  readonly #uses: number[] = []
  #useAt = 0
  readonly #keptTracks = new Set<number>()
  #known: KnownThings = []
  #asks: (Ask & { readonly untilMs: number })[] = []
  #lastAt = Number.NEGATIVE_INFINITY
  #keptAt = Number.NEGATIVE_INFINITY
  #wishedAt = Number.NEGATIVE_INFINITY
  #novelAt = Number.NEGATIVE_INFINITY
  /** When a frame was found to show what was sent already. */
  #alikeAt = Number.NEGATIVE_INFINITY
  #wishes = 0
  /** Frames at which something was found and which were no duplicates, and those of them that were kept: with forgetting. */
  readonly #rates = new Map<SampleReason, { found: number; kept: number }>()

  constructor(options: ChooserOptions, state?: ChooserState) {
    this.#options = options
    const { budget, now, monotonicMs, random } = options
    this.#measuredMs = monotonicMs()
    this.#spent = state
      ? advance(state.spent, budget, now(), 0)
      : firstSpent(budget, now(), random())
    this.#cover = state?.cover ?? []
    this.#sent = state?.sent ?? []
    this.#bytes = state?.bytes ?? bytesAtFirst
    // Tracks are numbered anew with every start of the agent.
    this.#labels = { ...noLabels, counts: state?.labels ?? {} }
  }

  get state(): ChooserState {
    return {
      spent: this.#spent,
      sent: [...this.#sent],
      cover: this.#cover.map((one) => [...one]),
      labels: { ...this.#labels.counts },
      bytes: this.#bytes,
    }
  }

  /** Frames it would have kept since the last call, had there been no budget. */
  takeWishes(): number {
    const wishes = this.#wishes
    this.#wishes = 0
    return wishes
  }

  ask(ask: Ask): void {
    const untilMs = this.#options.monotonicMs() + ask.withinMs
    if (ask.reason === 'disagreement') {
      this.#asks = this.#asks.filter(({ reason }) => reason !== ask.reason)
    }
    if (this.#asks.length < asksMax) this.#asks.push({ ...ask, untilMs })
  }

  /**
   * Takes in a frame.
   * @param looksOf made only of frames for which it matters
   * @returns what is to be made of it; `kept()` is then told what came of it
   */
  consider(facts: FrameFacts, looksOf: () => Looks): Choice | undefined {
    this.#passTime()
    const standsForMs = Math.min(standsForMsMax, Math.max(0, facts.at - this.#lastAt))
    this.#lastAt = facts.at
    const drawn = this.#draw(standsForMs)
    const findings = this.#ask(facts)
    let looks: Looks | undefined
    const look = (): Looks => (looks ??= looksOf())
    if (this.#isUsed('novel') && this.#isNovelDue(facts.at)) {
      this.#novelAt = facts.at
      const finding = novel(this.#cover, look().embedding)
      if (finding) findings.push(finding)
    }
    if (drawn && this.#hasRoom()) {
      const intervalMs = Math.round(standsForMs)
      const why = `drawn at random; it stands for ${intervalMs} ms`
      return this.#choice(facts, look(), {
        reason: 'random',
        why,
        probability: drawn.probability,
        use: useOf.random,
        purse: 'none',
      })
    }
    return this.#asked(facts, look) ?? this.#found(facts, findings, look)
  }

  /** The picture of a choice was made and kept. */
  kept(choice: Choice, bytes: number): void {
    this.#spent = pay(this.#spent, this.#options.budget, bytes, choice.purse)
    this.#keptAt = this.#lastAt
    this.#bytes += (bytes - this.#bytes) / 8
    const { hash, embedding } = choice.looks
    const sent = { hash, embedding: [...embedding], things: [...choice.things] }
    this.#sent = [...this.#sent, sent].slice(-sentMax)
    const nearest = distanceTo(this.#cover, embedding)
    // What adds nothing to the cover is left out, so that its places last.
    if (nearest > 1e-3 || this.#cover.length === 0) this.#cover = withCentre(this.#cover, embedding)
    this.#known = withKnown(this.#known, choice.detections)
    for (const trackId of choice.tracks) {
      this.#keptTracks.delete(trackId)
      this.#keptTracks.add(trackId)
    }
    for (const oldest of this.#keptTracks) {
      if (this.#keptTracks.size <= keptTracksMax) break
      this.#keptTracks.delete(oldest)
    }
    const rate = this.#rates.get(choice.reason)
    if (rate) rate.kept++
  }

  #passTime(): void {
    const { budget, now, monotonicMs } = this.#options
    const nowMs = monotonicMs()
    this.#spent = advance(this.#spent, budget, now(), nowMs - this.#measuredMs)
    this.#measuredMs = nowMs
  }

  #draw(standsForMs: number): { probability: number } | undefined {
    const { budget, random } = this.#options
    if (!this.#isUsed('random') || standsForMs === 0) return undefined
    const { spent, isDrawn, probability } = drawRandom(this.#spent, budget, standsForMs, random())
    this.#spent = spent
    return isDrawn ? { probability } : undefined
  }

  #isUsed(reason: SampleReason): boolean {
    return this.#options.reasons.includes(reason)
  }

  /** Every sampler is asked, also one that is not used: what it remembers has to be right when another needs it. */
  #ask(facts: FrameFacts): Finding[] {
    const tracks = inconsistent(facts, this.#tracks)
    const motion = unseenMotion(facts, this.#motion)
    const labels = rare(facts, this.#labels, this.#options.rareLabels)
    const { known, seen } = followKnown(this.#known, facts.detections)
    this.#known = known
    const doubts = uncertain(facts, seen)
    const said = this.#asks.find(({ reason }) => reason === 'disagreement')
    const disagreement: Finding | undefined = said && {
      reason: 'disagreement',
      why: said.why,
      use: useOf.disagreement,
      tracks: [],
    }
    this.#tracks = tracks.memory
    this.#motion = motion.memory
    this.#labels = labels.memory
    const { finding: gap } = tracks
    return [doubts, gap, motion.finding, labels.finding, disagreement].flatMap((finding) =>
      finding && this.#isUsed(finding.reason) ? [finding] : [],
    )
  }

  #isNovelDue(at: number): boolean {
    return at - this.#novelAt >= novelIntervalMs
  }

  #hasRoom(): boolean {
    return hasRoom(this.#spent, this.#options.budget, this.#bytes)
  }

  #asked(facts: FrameFacts, look: () => Looks): Choice | undefined {
    const { monotonicMs, intervalMinMs } = this.#options
    this.#asks = this.#asks.filter(({ untilMs }) => untilMs > monotonicMs())
    const ask = this.#asks.find(({ reason }) => reason === 'asked')
    if (!ask || facts.at - this.#keptAt < intervalMinMs) return undefined
    // A person gets what they ask for, whatever was spent and whichever reasons are looked for.
    const others = this.#asks.filter((one) => one !== ask)
    const rest = { ...ask, frames: ask.frames - 1 }
    this.#asks = rest.frames > 0 ? [rest, ...others] : others
    return this.#choice(facts, look(), {
      reason: 'asked',
      why: ask.why,
      use: useOf.asked,
      probability: 1,
      purse: 'none',
    })
  }

  #found(facts: FrameFacts, findings: Finding[], look: () => Looks): Choice | undefined {
    const { intervalMinMs, budget } = this.#options
    const worth = findings.map((finding) => this.#worth(finding))
    const [most] = worth.sort((a, b) => b.use - a.use)
    const use = usesTogether(worth.map((finding) => finding.use))
    if (!most || use < useMin || !this.#isFresh(worth)) return undefined
    const isSoon = facts.at - this.#keptAt < intervalMinMs
    const isWish = facts.at - this.#wishedAt >= intervalMinMs
    const canPay = !isSoon && hasRoom(this.#spent, budget, this.#bytes)
    const purse = canPay ? this.#purseFor(use) : undefined
    this.#remember(use)
    // Nothing would come of it, and nobody has to be told of it; looks are what costs.
    if ((purse === undefined && !isWish) || facts.at - this.#alikeAt < alikeMs) return undefined
    const things = thingsOf(facts, worth)
    if (isNearDuplicate(look(), things, this.#sent)) {
      this.#alikeAt = facts.at
      return undefined
    }
    if (isWish) {
      this.#wishedAt = facts.at
      this.#wishes++
    }
    if (most.reason === 'disagreement') this.#asks = this.#asks.filter(isAsked)
    const rate = this.#rateOf(most.reason)
    if (purse === undefined) return undefined
    return this.#choice(facts, look(), {
      reason: most.reason,
      why: most.why,
      use,
      purse,
      things,
      probability: Math.min(1, Math.max(probabilityMin, (rate.kept + 1) / (rate.found + 1))),
    })
  }

  /** A track that was kept already teaches little more; `uncertain` counts that for each thing by itself. */
  #worth(finding: Finding): Required<Omit<Finding, 'place'>> & Pick<Finding, 'place'> {
    const { use, tracks, fresh = 1 } = finding
    if (tracks.length === 0) return { ...finding, fresh }
    const known = tracks.filter((trackId) => this.#keptTracks.has(trackId)).length / tracks.length
    return { ...finding, use: use * (1 - (1 - knownShare) * known), fresh: 1 - known }
  }

  /** Whether enough is new of what a frame would be kept for: a thing that goes by is labelled once. */
  #isFresh(worth: readonly { readonly use: number; readonly fresh: number }[]): boolean {
    const share = bucketShare(this.#spent, this.#options.budget)
    const least = freshMin * Math.min(1, (1 - share) / (1 - nearlyFull))
    const all = worth.reduce((sum, { use }) => sum + use, 0)
    return worth.reduce((sum, { use, fresh }) => sum + use * fresh, 0) >= least * all
  }

  /** What pays for a frame that is worth so much; undefined: nothing does. */
  #purseFor(use: number): Purse | undefined {
    const { budget } = this.#options
    const cost = costOf(budget, this.#bytes)
    const share = bucketShare(this.#spent, budget)
    if (this.#spent.bucket >= cost && this.#isAbove(use, strictest * (1 - share))) {
      return 'bucket'
    }
    const isWorthIt = use >= reserveUseMin && this.#isAbove(use, reserveQuantile)
    return isWorthIt && this.#spent.reserve >= cost ? 'reserve' : undefined
  }

  /** Whether a use is not below that which this share of the newest candidates does not exceed. */
  #isAbove(use: number, share: number): boolean {
    const { length } = this.#uses
    if (length < usesMin) return true
    let notMore = 0
    for (const one of this.#uses) if (one <= use) notMore++
    return notMore > Math.min(length - 1, Math.floor(length * share))
  }

  #remember(use: number): void {
    this.#uses[this.#useAt] = use
    this.#useAt = (this.#useAt + 1) % usesMax
  }

  #rateOf(reason: SampleReason): { found: number; kept: number } {
    const before = this.#rates.get(reason) ?? { found: 0, kept: 0 }
    // Forgets by halves, so that it says how things are now.
    const share = before.found >= 1_000 ? 0.5 : 1
    const rate = { found: before.found * share + 1, kept: before.kept * share }
    this.#rates.set(reason, rate)
    return rate
  }

  #choice(
    facts: FrameFacts,
    looks: Looks,
    because: Pick<Choice, 'reason' | 'why' | 'use' | 'probability' | 'purse'> &
      Partial<Pick<Choice, 'things'>>,
  ): Choice {
    const detections = facts.detections
      .slice(0, sampleDetectionsMax)
      .map(({ label, score, box }) => ({ label, score, box: [...box] }))
    const { things = thingsOf(facts, []), why } = because
    // Whoever labels a frame labels all that is on it.
    const tracks = facts.tracks.flatMap((one) => (one.seenAt === facts.at ? one.trackId : []))
    return { ...because, why: why.slice(0, 300), looks, detections, things, tracks }
  }
}

const isAsked = ({ reason }: Ask): boolean => reason === 'asked'

/** What is seen on a frame, sure or nearly, and where something moves that is not. */
function thingsOf(
  { detections, scoreMinOf }: FrameFacts,
  findings: readonly Finding[],
): Sent['things'] {
  const rounded = (box: readonly number[]) => box.map((share) => Math.round(share * 1e3) / 1e3)
  const things = detections
    .filter(({ label, score }) => score >= scoreMinOf(label) * thingShare)
    .map(({ label, box }) => ({ label, box: rounded(box) }))
  const places = findings.flatMap(({ place }) =>
    place ? [{ label: '', box: rounded(place) }] : [],
  )
  return [...things, ...places].slice(0, 200)
}
