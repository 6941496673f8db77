/**
 * Carries out what `decide` says: reads what changed, takes in what devices said, asks for decisions until there are none, writes
 * everything in one transaction, and only then tells devices and pages. One hub of several does it; what it holds in
 * memory are copies of rows, dropped and read anew where somebody else has changed them.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Change,
  isRolloutOver,
  type Offer,
  type Offers,
  type Published,
  type RolloutState,
  type Updates,
} from '@edgeloop/protocol'
import { Misfit, parsePayload } from '@edgeloop/protocol/check'
import type { Transaction } from 'kysely'
import type { Logger } from 'pino'
import { type Device, siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import {
  changedBy,
  type Decision,
  decide,
  hasFailed,
  isActive,
  isConfirmed,
  isTouched,
  type Rollout,
} from './decide.ts'
import { historyWith, type KeptBox, noBytes, take } from './kept-box.ts'
import { openLease } from './lease.ts'
import { isOffered, offerOf, offersOf } from './offers.ts'
import { cachePublished, type PublishedArtifacts } from './published-cache.ts'
import {
  boxesOf,
  findRollout,
  type KeptRollout,
  type NewDecision,
  putBoxes,
  putDecisions,
  replaceRollout,
  rolloutOf,
  rowOfRollout,
} from './rollout-rows.ts'
import { hear, putSaid, runningOf, type Said, saidOf } from './said.ts'
import { isSelected } from './selection.ts'
import { type ShownBox, shownOf } from './shown.ts'
import type { Sites } from './sites.ts'
import { openingAt } from './windows.ts'

/** How often it is looked without a reason: time goes by, and other hubs may have changed something. */
const lookIntervalMs = 1000
/** What comes within this time is looked at together. */
const gatherMs = 100
/** How often it is looked for devices that may join. */
const joinIntervalMs = 10_000
/** Decisions after decisions in one look; the next look goes on. */
const roundsMax = 30
/** An integrity failure elsewhere counts for so long. */
const integrityMs = 86_400_000
/** Mirrors in one offer: the device tries one after the other. */
const mirrorsMax = 3
/** Boxes of a site that are asked for what they have, for one offer. */
const mirrorsLookedAt = 100
/** Messages of one device that wait, the newest. */
const waitingMax = 4
/** A rollout is told to pages at most so often, while only figures change. */
const tellIntervalMs = 1000

export type RolloutKeeper = AsyncDisposable & {
  /** Begins to decide; what devices say before is kept. */
  begin(): void
  /** Takes an `updates` payload. Never throws: what does not fit is logged and left. */
  take(device: Device, payload: Uint8Array): void
  /** Something has changed that decisions may depend on. */
  wake(): void
  /** Resolves when it was looked at everything that is there now. */
  look(): Promise<void>
  /** Devices may fit a selection now that they did not fit before. */
  mayJoin(): void
  /** The broker knows nothing: says again what every device is offered. */
  sayAgain(): void
  /** A device said what it is. */
  reported(device: Device): void
  /** Rollouts that this hub decides about. */
  readonly open: number
}

/** A rollout that something may still be decided about. */
type Held = {
  rollout: KeptRollout
  /** By device key, in the order in which they are offered it. */
  readonly boxes: Map<number, KeptBox>
  readonly dirty: Set<number>
  readonly decisions: NewDecision[]
  /** Devices that were offered it since it was written: it is their newest. */
  readonly offered: Set<number>
  changed: boolean
}

/** Somebody else has changed a rollout since it was read. */
class Overtaken extends Error {}

export function openRolloutKeeper(deps: {
  store: Store
  fleet: Fleet
  sites: Sites
  artifacts: PublishedArtifacts
  clock: () => number
  log: Logger
  metrics: Pick<Metrics, 'updateMessages' | 'rolloutDecisions'>
  /** No other hub can work on this store. */
  alone: boolean
  publish: (device: Device, offers: Offers) => void
  tell: (change: Change) => void
  failed: (error: unknown) => void
}): RolloutKeeper {
  const { store, fleet, sites, clock, log, metrics, tell, failed } = deps
  const artifacts = cachePublished(deps.artifacts, clock)
  const lease = openLease({ store, name: 'rollouts', clock, alone: deps.alone })
  const closing = new AbortController()
  let woken = new AbortController()
  let asked: (() => void)[] = []

  /** Messages that were not taken in yet, by device key, in the order in which they came. */
  const pending = new Map<number, readonly Updates[]>()
  const held = new Map<string, Held>()
  const said = new Map<number, Said>()
  /** Devices of rollouts that are over and succeeded: if one runs something else, its rollout is looked at again. */
  const watched = new Map<number, { rolloutId: string; name: string; digest: string }[]>()
  /** Offers as they were published last, by device key. */
  const published = new Map<number, string>()
  /** Revisions that pages were told of. */
  const told = new Map<string, { revision: number; state: RolloutState; at: number }>()
  let loaded = false
  let everything = true
  let joinAt = 0

  // ---- what is there

  async function load(): Promise<void> {
    held.clear()
    said.clear()
    watched.clear()
    published.clear()
    for (const row of await store.writer.selectFrom('device_update').selectAll().execute()) {
      said.set(row.device_key, saidOf(row))
    }
    const rows = await store.writer
      .selectFrom('rollout_box')
      .innerJoin('rollout', 'rollout.rollout_id', 'rollout_box.rollout_id')
      .select([
        'rollout_box.rollout_id',
        'rollout_box.device_key',
        'rollout_box.digest',
        'rollout.name',
      ])
      .where('rollout_box.current', '=', 1)
      .where('rollout_box.state', '=', 'committed')
      .where('rollout.open', '=', 0)
      .execute()
    for (const { rollout_id, device_key, digest, name } of rows) {
      watch(device_key, { rolloutId: rollout_id, name, digest })
    }
    loaded = true
    everything = true
  }

  function watch(
    deviceKey: number,
    one: { rolloutId: string; name: string; digest: string },
  ): void {
    const others = (watched.get(deviceKey) ?? []).filter(({ name }) => name !== one.name)
    watched.set(deviceKey, [...others, one])
  }

  /** Reads what somebody else has changed. */
  async function reload(): Promise<void> {
    const open = await store.writer
      .selectFrom('rollout')
      .select(['rollout_id', 'revision'])
      .where('open', '=', 1)
      .execute()
    const ids = new Set(open.map(({ rollout_id }) => rollout_id))
    for (const id of held.keys()) if (!ids.has(id)) held.delete(id)
    for (const { rollout_id, revision } of open) {
      if (held.get(rollout_id)?.rollout.revision !== revision) await hold(rollout_id)
    }
  }

  async function hold(rolloutId: string): Promise<Held> {
    const rollout = await findRollout(store.writer, rolloutId)
    const boxes = await boxesOf(store.writer, rolloutId)
    const one: Held = {
      rollout,
      boxes: new Map(boxes.map((box) => [box.deviceKey, box])),
      dirty: new Set(),
      decisions: [],
      offered: new Set(),
      changed: false,
    }
    held.set(rolloutId, one)
    // Somebody may have asked for something that its devices have to hear.
    for (const box of boxes)
      if (isOffered(box) || published.has(box.deviceKey)) one.dirty.add(box.deviceKey)
    return one
  }

  // ---- what devices said

  /** Rollouts that are over, and of which a device now says something else. */
  async function reopen(): Promise<void> {
    for (const [deviceKey, messages] of pending) {
      for (const { rolloutId, name, digest } of watched.get(deviceKey) ?? []) {
        const running = messages.at(-1)?.running.find((one) => one.name === name)
        if (!running || running.digest === digest || held.has(rolloutId)) continue
        const one = await hold(rolloutId)
        one.rollout = { ...one.rollout, open: true }
        one.changed = true
      }
    }
  }

  /** @returns what was heard, to be written */
  function takeIn(messages: ReadonlyMap<number, readonly Updates[]>, now: number): Said[] {
    const news = new Map<number, Said>()
    const all = [...messages].flatMap(([key, list]) => list.map((one) => [key, one] as const))
    for (const [deviceKey, updates] of all) {
      const next = hear(said.get(deviceKey), deviceKey, updates, now)
      if (!next) {
        metrics.updateMessages.inc({ result: 'late' })
        continue
      }
      metrics.updateMessages.inc({ result: 'taken' })
      said.set(deviceKey, next)
      news.set(deviceKey, next)
      for (const update of updates.updates) {
        const one = held.get(update.rolloutId)
        const box = one?.boxes.get(deviceKey)
        const { name, version } = one?.rollout ?? {}
        if (!one || !box || update.name !== name || update.version !== version) continue
        const running = runningOf(next, name)
        put(one, take(box, update, running, next.heard, now))
      }
    }
    return [...news.values()]
  }

  function put(one: Held, box: KeptBox): void {
    if (one.boxes.get(box.deviceKey) === box) return
    one.boxes.set(box.deviceKey, box)
    one.dirty.add(box.deviceKey)
    one.changed = true
  }

  // ---- decisions

  const shownBoxes = (one: Held): ShownBox[] =>
    [...one.boxes.values()].map((box) => shownBox(one, box))

  function shownBox({ rollout }: Held, box: KeptBox): ShownBox {
    const device = fleet.byKey(box.deviceKey)
    return {
      ...box,
      deviceId: device?.deviceId ?? `#${box.deviceKey}`,
      online: device?.online ?? false,
      lastSeenAt: device?.lastSeenAt ?? null,
      zone: device ? sites.zoneOf(siteOf(device)) : 'UTC',
      running: runningOf(said.get(box.deviceKey), rollout.name) ?? null,
    }
  }

  function factsOf({ rollout }: Held, now: number): Rollout {
    const { state, stage, plan, scope, held: waits } = rollout
    const integrityElsewhere: string[] = []
    for (const other of held.values()) {
      if (other.rollout.rolloutId === rollout.rolloutId) continue
      for (const box of other.boxes.values()) {
        if (box.code !== 'integrity' || !hasFailed(box) || box.since < now - integrityMs) continue
        integrityElsewhere.push(fleet.byKey(box.deviceKey)?.deviceId ?? `#${box.deviceKey}`)
      }
    }
    return {
      state,
      stage,
      plan,
      scope,
      held: waits,
      integrityElsewhere,
      busy: plan.whenBusy === 'wait' && state === 'queued' && othersOf(rollout).some(isBefore),
      stages: rollout.stages.map(({ startedAt, approvedBy, regardless }) => ({
        startedAt,
        regardless,
        approved: approvedBy !== '',
      })),
    }
    function isBefore(other: Held): boolean {
      const { createdAt, state: theirs } = other.rollout
      return createdAt <= rollout.createdAt && !isRolloutOver({ state: theirs })
    }
  }

  /** Other rollouts of the same model that have some of its devices, not through with them. */
  function othersOf({ rolloutId, name }: KeptRollout): Held[] {
    const mine = held.get(rolloutId)?.boxes
    return [...held.values()].filter(
      ({ rollout, boxes }) =>
        rollout.rolloutId !== rolloutId &&
        rollout.name === name &&
        [...boxes.values()].some(
          (box) => mine?.has(box.deviceKey) && (box.state === 'waiting' || isActive(box)),
        ),
    )
  }

  /** What facts change without a decision: contacts, windows, devices that were retired. */
  function follow(one: Held, now: number): void {
    for (const box of one.boxes.values()) {
      const device = fleet.byKey(box.deviceKey)
      if (!device) continue
      const waits = box.state === 'waiting'
      if (!waits && !isActive(box)) continue
      if (device.retiredAt !== null) {
        put(one, ended(box, 'cancelled', 'The device was retired', now))
        continue
      }
      if (waits) continue
      const { offeredAt, contactAt } = box
      const seenAt = device.lastSeenAt ?? 0
      if (contactAt === null && offeredAt !== null && seenAt > offeredAt) {
        put(one, { ...box, contactAt: seenAt })
      }
      const until = windowEnd(one.rollout, device, now)
      if (until !== undefined && until !== box.activateBefore && !isTouched(box)) {
        put(one, { ...(one.boxes.get(box.deviceKey) ?? box), activateBefore: until })
      }
    }
  }

  /** Null where it is open for ever; undefined while it is closed. */
  function windowEnd(
    { plan }: KeptRollout,
    device: Device,
    now: number,
  ): number | null | undefined {
    const opening = openingAt(plan.windows, sites.zoneOf(siteOf(device)), now)
    if (!opening) return undefined
    return Number.isFinite(opening.until) ? opening.until : null
  }

  const ended = (
    box: KeptBox,
    state: 'cancelled' | 'superseded',
    reason: string,
    now: number,
  ): KeptBox => ({
    ...box,
    state,
    reason,
    since: now,
    history: box.state === 'waiting' ? box.history : historyWith(box.history, state, now),
  })

  async function settle(one: Held, now: number): Promise<void> {
    follow(one, now)
    for (let round = 0; round < roundsMax; round++) {
      const decisions = decide(factsOf(one, now), shownBoxes(one), now)
      if (decisions.length === 0) return
      for (const decision of decisions) await carryOut(one, decision, now)
    }
  }

  async function carryOut(one: Held, decision: Decision, now: number): Promise<void> {
    metrics.rolloutDecisions.inc({ act: decision.act })
    if ('deviceId' in decision) {
      carryOutBox(one, decision, now)
      return
    }
    one.changed = true
    const { rollout } = one
    const change = (fields: Partial<KeptRollout>) => {
      one.rollout = { ...one.rollout, ...fields, why: fields.why ?? decision.why }
    }
    switch (decision.act) {
      case 'begin':
        change({ state: 'running', startedAt: rollout.startedAt ?? now })
        supersede(one, now)
        break
      case 'go-on':
        change({ state: 'running', held: null })
        break
      case 'offer':
        await offer(one, new Set(decision.devices), now)
        // Said in figures: a line for each minute would bury what was decided.
        return
      case 'cancel':
      case 'roll-back': {
        const devices = new Set(decision.devices)
        for (const box of shownBoxes(one)) {
          const kept = one.boxes.get(box.deviceKey)
          if (!kept || !devices.has(box.deviceId)) continue
          put(
            one,
            decision.act === 'cancel'
              ? ended(kept, 'cancelled', rollout.why, now)
              : { ...kept, goingBack: true, afterSequence: said.get(box.deviceKey)?.heard ?? 0 },
          )
        }
        break
      }
      case 'advance': {
        const isEnd = decision.stage === rollout.plan.stages.length
        const stages = rollout.stages.map((stage, index) => ({
          ...stage,
          passedAt:
            index < decision.stage && stage.startedAt !== null
              ? (stage.passedAt ?? now)
              : stage.passedAt,
          startedAt: index === decision.stage && !isEnd ? now : stage.startedAt,
        }))
        change({
          stages,
          held: null,
          ...(isEnd
            ? { state: 'complete', endedAt: now }
            : { state: 'running', stage: decision.stage }),
        })
        break
      }
      case 'hold':
        change({ state: 'held', held: { stage: decision.stage, regardless: decision.regardless } })
        break
      case 'stop':
        change({ state: 'stopped', scope: rollout.plan.onStop, endedAt: now, held: null })
        if (decision.everything) stopOthers(one, decision.why, now)
        break
    }
    log.info(
      { rollout: rollout.rolloutId, act: decision.act, why: decision.why },
      'a rollout goes on',
    )
    note(one, decision.act, decision.why, now)
  }

  function note(one: Held, act: string, text: string, now: number): void {
    one.decisions.push({ at: now, act, text, by: '' })
    one.changed = true
  }

  function carryOutBox(one: Held, decision: Decision & { deviceId: string }, now: number): void {
    // Of a device that this hub does not know, the key stands for the id.
    const key = fleet.find(decision.deviceId)?.deviceKey ?? Number(decision.deviceId.slice(1))
    const kept = one.boxes.get(key)
    if (!kept) return
    const { state, code, since, confirmedAt, goingBack, afterSequence } = changedBy(
      shownBox(one, kept),
      decision,
      now,
    )
    const hasChanged = state !== kept.state
    put(one, {
      ...kept,
      state,
      code,
      since,
      confirmedAt,
      goingBack,
      afterSequence,
      revoked: kept.revoked || (decision.act === 'revoke' && isConfirmed(kept)),
      reason: decision.act === 'confirm' || !hasChanged ? kept.reason : decision.why,
      history:
        hasChanged && state !== 'waiting' ? historyWith(kept.history, state, now) : kept.history,
    })
    if (decision.act !== 'time-out' && decision.act !== 'revoke') return
    note(one, decision.act, `${decision.deviceId}: ${decision.why}`, now)
  }

  async function offer(one: Held, devices: ReadonlySet<string>, now: number): Promise<void> {
    const { name, version } = one.rollout
    for (const box of one.boxes.values()) {
      const device = fleet.byKey(box.deviceKey)
      if (!device || !devices.has(device.deviceId)) continue
      // It may have been published anew since the rollout was made.
      const newest = await artifacts.artifactFor(name, version, targetsOf(device))
      const running = said.get(box.deviceKey)?.running.find((model) => model.name === name)
      put(one, {
        ...box,
        ...(newest && partsOf(newest)),
        state: 'offered',
        since: now,
        offeredAt: now,
        contactAt: null,
        current: true,
        versionBefore: running?.version ?? null,
        activateBefore: windowEnd(one.rollout, device, now) ?? null,
        history: historyWith(box.history, 'offered', now),
      })
      one.offered.add(box.deviceKey)
      for (const other of held.values()) {
        const theirs = other.boxes.get(box.deviceKey)
        if (other === one || other.rollout.name !== name || !theirs?.current) continue
        put(other, { ...theirs, current: false })
      }
    }
  }

  /** Takes devices that have not begun from older rollouts of the same model. */
  function supersede(one: Held, now: number): void {
    const { rolloutId, version } = one.rollout
    for (const other of othersOf(one.rollout)) {
      if (other.rollout.createdAt > one.rollout.createdAt) continue
      let taken = 0
      for (const box of other.boxes.values()) {
        if (!one.boxes.has(box.deviceKey) || isTouched(box)) continue
        if (box.state !== 'waiting' && !isActive(box)) continue
        put(other, ended(box, 'superseded', `Version ${version} is rolled out`, now))
        taken++
      }
      if (taken === 0) continue
      const text = `${taken} devices were given up for the rollout of version ${version}`
      note(other, 'supersede', text, now)
      const goesOn = [...other.boxes.values()].some(
        (box) => box.state === 'waiting' || isActive(box),
      )
      if (goesOn || isRolloutOver(other.rollout)) continue
      const why = `The rollout of version ${version} has all of its devices`
      other.rollout = {
        ...other.rollout,
        state: 'superseded',
        why,
        supersededBy: rolloutId,
        endedAt: now,
        held: null,
      }
    }
  }

  function stopOthers(one: Held, why: string, now: number): void {
    for (const other of held.values()) {
      const { rollout } = other
      if (other === one || (isRolloutOver(rollout) && rollout.state !== 'complete')) continue
      other.rollout = {
        ...rollout,
        state: 'stopped',
        why,
        scope: rollout.plan.onStop,
        endedAt: now,
        held: null,
      }
      note(other, 'stop', why, now)
    }
  }

  /** Devices that fit only now take part in the last stage. */
  async function join(one: Held, now: number): Promise<void> {
    const { plan, state, rolloutId } = one.rollout
    if (!plan.join || (isRolloutOver({ state }) && state !== 'complete')) return
    let rank = Math.max(-1, ...[...one.boxes.values()].map((box) => box.rank))
    let joined = 0
    for (const device of fleet.all()) {
      if (device.retiredAt !== null || one.boxes.has(device.deviceKey)) continue
      const targets = targetsOf(device)
      if (!isSelected(plan.select, { ...device, site: siteOf(device), targets })) continue
      const newest = await artifacts.artifactFor(plan.name, plan.version, targets)
      const running = said.get(device.deviceKey)?.running.find(({ name }) => name === plan.name)
      if (!newest || running?.digest === newest.file.digest) continue
      rank++
      joined++
      put(
        one,
        newBox(rolloutId, device.deviceKey, newest, { rank, stage: plan.stages.length - 1 }, now),
      )
    }
    if (joined > 0)
      note(one, 'join', joined === 1 ? '1 device joined' : `${joined} devices joined`, now)
  }

  // ---- writing, and telling

  const isOpen = ({ rollout, boxes }: Held): boolean => {
    if (!isRolloutOver(rollout)) return true
    const isComplete = rollout.state === 'complete'
    if (isComplete && rollout.plan.join) return true
    return [...boxes.values()].some(
      (box) =>
        isActive(box) ||
        box.goingBack ||
        (box.current && box.state === 'committed' && !isConfirmed(box)) ||
        (isComplete && box.state === 'waiting'),
    )
  }

  /** @throws {Overtaken} when a rollout is not as it was read any more; nothing is written then */
  async function write(news: readonly Said[], now: number): Promise<Held[]> {
    const changed: Held[] = []
    for (const one of held.values()) {
      const shown = shownOf(one.rollout, shownBoxes(one), now)
      const open = isOpen(one)
      const differs =
        open !== one.rollout.open || JSON.stringify(shown) !== JSON.stringify(one.rollout.shown)
      if (!one.changed && !differs) continue
      one.rollout = { ...one.rollout, shown, open }
      changed.push(one)
    }
    if (changed.length === 0 && news.length === 0) return []
    await store.writer.transaction().execute(async (tx) => {
      for (const one of changed) await writeOne(tx, one)
      await putSaid(tx, news)
    })
    for (const one of changed) {
      one.rollout = { ...one.rollout, revision: one.rollout.revision + 1 }
      one.changed = false
      one.decisions.length = 0
      one.offered.clear()
    }
    return changed
  }

  async function writeOne(tx: Transaction<Tables>, one: Held): Promise<void> {
    const { rolloutId, name } = one.rollout
    if (!(await replaceRollout(tx, one.rollout))) throw new Overtaken()
    await putBoxes(
      tx,
      [...one.dirty].flatMap((key) => one.boxes.get(key) ?? []),
    )
    await putDecisions(tx, rolloutId, one.decisions)
    if (one.offered.size === 0) return
    const sameModel = tx.selectFrom('rollout').select('rollout_id').where('name', '=', name)
    await tx
      .updateTable('rollout_box')
      .set({ current: 0 })
      .where('device_key', 'in', [...one.offered])
      .where('rollout_id', '<>', rolloutId)
      .where('rollout_id', 'in', sameModel)
      .where('current', '=', 1)
      .execute()
  }

  /** Says to devices what they are offered, where it is something else than before. */
  async function publish(deviceKeys: Iterable<number>, now: number): Promise<void> {
    const mirrors = mirrorsBySite()
    for (const deviceKey of deviceKeys) {
      const device = fleet.byKey(deviceKey)
      if (!device) continue
      const offers: Offer[] = []
      for (const { rollout, boxes } of held.values()) {
        const box = boxes.get(deviceKey)
        if (!box || !isOffered(box)) continue
        const near = await mirrorsOf(device, rollout, mirrors)
        const one = offerOf(box, rollout.plan, near)
        if (one) offers.push(one)
      }
      // Which mirrors there are changes all the time; that there are some is news.
      const key = JSON.stringify(offers.map((one) => ({ ...one, mirrors: one.mirrors.length > 0 })))
      if (published.get(deviceKey) === key) continue
      published.set(deviceKey, key)
      deps.publish(device, offersOf(offers, now))
    }
  }

  type Mirror = {
    readonly device: Device
    readonly url: string
    readonly digests: readonly string[]
  }

  function mirrorsBySite(): Map<string, Mirror[]> {
    const found = new Map<string, Mirror[]>()
    for (const { deviceKey, mirror } of said.values()) {
      const device = mirror && fleet.byKey(deviceKey)
      if (!mirror || !device?.online || device.retiredAt !== null) continue
      const site = siteOf(device)
      const list = found.get(site) ?? []
      list.push({ device, url: mirror.url, digests: mirror.digests })
      found.set(site, list)
    }
    return found
  }

  async function mirrorsOf(
    device: Device,
    { name, version }: KeptRollout,
    bySite: ReadonlyMap<string, readonly Mirror[]>,
  ): Promise<string[]> {
    const near = bySite.get(siteOf(device)) ?? []
    if (near.length === 0) return []
    const newest = await artifacts.artifactFor(name, version, targetsOf(device))
    const wanted = new Set(newest?.encodings.map(({ digest }) => digest))
    // Each device begins elsewhere in the list, so that not all ask the same box.
    const begin = createHash('sha256').update(device.deviceId).digest().readUInt32BE() % near.length
    const urls: string[] = []
    for (let i = 0; i < Math.min(near.length, mirrorsLookedAt) && urls.length < mirrorsMax; i++) {
      const mirror = near[(begin + i) % near.length]
      if (!mirror || mirror.device === device) continue
      if (mirror.digests.some((digest) => wanted.has(digest))) urls.push(mirror.url)
    }
    return urls
  }

  /** Tells pages of rollouts that changed: at once where their state did, else once in a while. */
  function tellChanged(rollouts: Iterable<KeptRollout>, now: number): void {
    for (const rollout of rollouts) {
      const { rolloutId, revision, state } = rollout
      const last = told.get(rolloutId)
      if (last?.revision === revision) continue
      if (last && last.state === state && Math.abs(now - last.at) < tellIntervalMs) continue
      told.set(rolloutId, { revision, state, at: now })
      tell({ kind: 'rollout', rollout: rowOfRollout(rollout) })
    }
  }

  /** Another hub decides: pages here hear what it wrote. */
  async function tellOthers(now: number): Promise<void> {
    const open = await store.reader
      .selectFrom('rollout')
      .select(['rollout_id', 'revision'])
      .where('open', '=', 1)
      .execute()
    const news = open.filter(
      ({ rollout_id, revision }) => told.get(rollout_id)?.revision !== revision,
    )
    const closed = [...told].filter(
      ([id, { state }]) =>
        !isRolloutOver({ state }) && !open.some(({ rollout_id }) => rollout_id === id),
    )
    const ids = [...news.map(({ rollout_id }) => rollout_id), ...closed.map(([id]) => id)]
    if (ids.length === 0) return
    const rows = await store.reader
      .selectFrom('rollout')
      .selectAll()
      .where('rollout_id', 'in', ids.slice(0, 200))
      .execute()
    tellChanged(rows.map(rolloutOf), now)
  }

  // ---- the round

  async function round(): Promise<void> {
    const now = clock()
    if (!(await lease.hold())) {
      loaded = false
      await tellOthers(now)
      return
    }
    if (!loaded) await load()
    await reload()
    await sites.refresh()
    await reopen()
    const messages = new Map(pending)
    const news = takeIn(messages, now)
    const joins = now >= joinAt || joinAt > now + joinIntervalMs
    if (joins) joinAt = now + joinIntervalMs
    for (const one of [...held.values()]) {
      if (joins) await join(one, now)
      await settle(one, now)
    }
    const all = [...held.values()]
    const changed = await write(news, now)
    for (const [key, taken] of messages) {
      const rest = (pending.get(key) ?? []).filter((one) => !taken.includes(one))
      if (rest.length > 0) pending.set(key, rest)
      else pending.delete(key)
    }
    if (everything) {
      everything = false
      published.clear()
      await publish(await everyKey(), now)
    }
    const dirty = new Set(all.flatMap((one) => [...one.dirty]))
    for (const one of all) one.dirty.clear()
    await publish(dirty, now)
    for (const one of changed) if (!one.rollout.open) close(one)
    tellChanged(
      all.map(({ rollout }) => rollout),
      now,
    )
  }

  function close({ rollout, boxes }: Held): void {
    for (const box of boxes.values()) {
      if (!box.current || box.state !== 'committed') continue
      watch(box.deviceKey, { rolloutId: rollout.rolloutId, name: rollout.name, digest: box.digest })
    }
    held.delete(rollout.rolloutId)
  }

  /** Every device that was ever part of a rollout: one that was offered something has to hear that it no longer is. */
  async function everyKey(): Promise<number[]> {
    const rows = await store.writer
      .selectFrom('rollout_box')
      .select('device_key')
      .distinct()
      .execute()
    return rows.map(({ device_key }) => device_key)
  }

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      woken = new AbortController()
      const waiting = asked
      asked = []
      await round().catch((error: unknown) => {
        loaded = false
        if (error instanceof Overtaken) woken.abort()
        else failed(error)
      })
      for (const done of waiting) done()
      if (asked.length > 0) continue
      const either = AbortSignal.any([closing.signal, woken.signal])
      await sleep(lookIntervalMs, undefined, { signal: either, ref: false }).catch(() => {})
      if (closing.signal.aborted || asked.length > 0) continue
      const rest = gatherMs
      if (woken.signal.aborted) {
        await sleep(rest, undefined, { signal: closing.signal, ref: false }).catch(() => {})
      }
    }
    for (const done of asked) done()
  }

  /** Kinds of boxes that devices said they are, to notice a change. */
  const kinds = new Map<number, string>()
  let running: Promise<void> = Promise.resolve()
  const mayJoin = () => {
    joinAt = 0
    artifacts.forget()
    wake()
  }
  const wake = () => woken.abort()
  return {
    begin: () => {
      running = loop()
    },
    take: (device, payload) => {
      try {
        const updates = parsePayload('updates', payload)
        fleet.change(device, { lastSeenAt: clock() })
        const waiting = pending.get(device.deviceKey) ?? []
        // Each is the whole truth: where there are too many, the oldest are not missed.
        pending.set(device.deviceKey, [...waiting, updates].slice(-waitingMax))
        wake()
      } catch (error) {
        if (!(error instanceof Misfit)) throw error
        metrics.updateMessages.inc({ result: 'misfit' })
        log.warn({ device: device.deviceId, why: error.message }, 'a message on updates was left')
      }
    },
    wake,
    look: async () => {
      if (closing.signal.aborted) return
      await new Promise<void>((resolve) => {
        asked.push(resolve)
        wake()
      })
    },
    mayJoin,
    reported: (device) => {
      const kind = targetsOf(device).join(' ')
      if (kinds.get(device.deviceKey) === kind) return
      kinds.set(device.deviceKey, kind)
      mayJoin()
    },
    sayAgain: () => {
      everything = true
      wake()
    },
    get open() {
      return held.size
    },
    async [Symbol.asyncDispose]() {
      closing.abort()
      await running
      await lease.release().catch(failed)
    },
  }
}

export const targetsOf = ({ reported }: Pick<Device, 'reported'>): readonly string[] =>
  reported?.targets ?? []

/** Of what is published, what a device's row holds. */
export const partsOf = ({ file, manifest, target }: Published) => ({
  digest: file.digest,
  target,
  manifest,
})

export function newBox(
  rolloutId: string,
  deviceKey: number,
  published: Published,
  at: { rank: number; stage: number },
  now: number,
): KeptBox {
  const whole = published.encodings.find(({ codec }) => codec === 'zstd')?.lengthBytes
  return {
    rolloutId,
    deviceKey,
    ...at,
    ...partsOf(published),
    state: 'waiting',
    attempt: 1,
    since: now,
    offeredAt: null,
    contactAt: null,
    confirmedAt: null,
    revoked: false,
    goingBack: false,
    current: false,
    code: null,
    reason: '',
    versionBefore: null,
    afterSequence: 0,
    activateBefore: null,
    bytes: noBytes(whole ?? published.file.lengthBytes),
    history: [],
    shadow: null,
    probation: null,
  }
}
