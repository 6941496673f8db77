/** Rollouts as people ask for them and see them. What follows of what they ask is the keeper's (keeper.ts). */
import { randomUUID } from 'node:crypto'
import {
  type DeviceUpdates,
  deviceUpdatesMax,
  type LeftOut,
  nearestName,
  type Published,
  Refusal,
  type RolloutBox,
  type RolloutBoxPage,
  type RolloutDetail,
  type RolloutPlan,
  type RolloutPreview,
  type RolloutRequest,
  type RolloutRow,
  type RouteQuery,
  rolloutDecisionsMax,
} from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import { type Device, siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { deadlineOf, hasFailed, isActive, isReachable, isTouched } from './decide.ts'
import { newBox, type RolloutKeeper, targetsOf } from './keeper.ts'
import type { KeptBox } from './kept-box.ts'
import type { PublishedArtifacts } from './published-cache.ts'
import {
  boxesOf,
  boxOf,
  cellsOfRollout,
  findRollout,
  type KeptRollout,
  putBoxes,
  putDecisions,
  replaceRollout,
  rolloutOf,
  rowOfRollout,
} from './rollout-rows.ts'
import { type Said, saidOf } from './said.ts'
import { dealOut, isSelected, planOf } from './selection.ts'
import { shownOf } from './shown.ts'
import type { Sites } from './sites.ts'
import { openingAt } from './windows.ts'

/** Rollouts that are not over, at once. */
export const openRolloutsMax = 50
const listedMax = 200
/** Devices that are named where there are many. */
const firstMax = 50
/** How often a change is tried again that another hub was faster with. */
const triesMax = 5

export type RolloutDesk = {
  /** @throws {Refusal} badRequest for a plan that cannot be */
  preview(request: RolloutRequest): Promise<RolloutPreview>
  /** @throws {Refusal} badRequest for a plan that cannot be or hits nothing; conflict for too many at once */
  create(
    request: RolloutRequest,
    by: string,
    note: AuditNote,
    /** Of whoever must know it before. */
    rolloutId?: string,
  ): Promise<RolloutDetail>
  list(query: RouteQuery<'rolloutList'>): Promise<RolloutRow[]>
  /** @throws {Refusal} notFound; so all of the following */
  show(rolloutId: string): Promise<RolloutDetail>
  boxes(rolloutId: string, query: RouteQuery<'rolloutBoxList'>): Promise<RolloutBoxPage>
  /** @throws {Refusal} conflict where it is not running or held */
  pause(rolloutId: string, by: string, note: AuditNote): Promise<RolloutDetail>
  /** @throws {Refusal} conflict where it is not paused */
  resume(rolloutId: string, by: string, note: AuditNote): Promise<RolloutDetail>
  /** @throws {Refusal} conflict where it was aborted or superseded */
  abort(rolloutId: string, rollBack: boolean, by: string, note: AuditNote): Promise<RolloutDetail>
  /** @throws {Refusal} conflict where it does not wait for that stage */
  approve(rolloutId: string, stage: number, by: string, note: AuditNote): Promise<RolloutDetail>
  /** @throws {Refusal} conflict where it is over for good, or there is nothing to retry */
  retry(
    rolloutId: string,
    devices: readonly string[] | undefined,
    by: string,
    note: AuditNote,
  ): Promise<RolloutDetail>
  deviceUpdates(deviceId: string): Promise<DeviceUpdates>
  /** Devices that run a model of that name, as they said last. */
  devicesWith(name: string): Promise<readonly Device[]>
  /** Digests of the files that devices run under a name, the most frequent first. */
  running(name: string): Promise<readonly string[]>
  /** @throws {Refusal} conflict where no update of that model can be taken back */
  rollBack(deviceId: string, name: string, by: string, note: AuditNote): Promise<RolloutBox>
}

type Hit = {
  readonly device: Device
  readonly deviceId: string
  readonly site: string
  readonly target: string
  readonly reachable: boolean
  readonly published: Published
  readonly expectedBytes: number
  readonly wholeBytes: number
}

export function openRolloutDesk(deps: {
  store: Store
  fleet: Fleet
  sites: Sites
  artifacts: PublishedArtifacts
  keeper: Pick<RolloutKeeper, 'look'>
  clock: () => number
}): RolloutDesk {
  const { store, fleet, sites, artifacts, keeper, clock } = deps

  async function allSaid(): Promise<Map<number, Said>> {
    const rows = await store.reader.selectFrom('device_update').selectAll().execute()
    return new Map(rows.map((row) => [row.device_key, saidOf(row)]))
  }

  /** Which devices a request hits, and which of those it names take no part. */
  async function hitsOf(
    request: RolloutRequest,
  ): Promise<{ hits: Hit[]; leftOut: LeftOut[]; plan: RolloutPlan }> {
    const { name, version, select } = request
    const now = clock()
    const said = await allSaid()
    const out = new Map<string, string[]>()
    const leaveOut = (reason: string, deviceId: string) => {
      const list = out.get(reason)
      if (list) list.push(deviceId)
      else out.set(reason, [deviceId])
    }
    for (const deviceId of select.devices ?? []) {
      if (!fleet.find(deviceId)) leaveOut('There is no such device', deviceId)
    }
    const hits: Hit[] = []
    const byTargets = new Map<string, Published | undefined>()
    const reachableMs = planOf(request, 0).reachableMs
    for (const device of fleet.all()) {
      const { deviceId, deviceKey } = device
      const targets = targetsOf(device)
      const site = siteOf(device)
      if (!isSelected(select, { deviceId, site, targets, tags: device.tags })) continue
      if (device.retiredAt !== null) {
        leaveOut('Retired', deviceId)
        continue
      }
      if (targets.length === 0) {
        leaveOut('It has not said yet what kind of box it is', deviceId)
        continue
      }
      const key = targets.join(' ')
      if (!byTargets.has(key))
        byTargets.set(key, await artifacts.artifactFor(name, version, targets))
      const published = byTargets.get(key)
      if (!published) {
        leaveOut(`Version ${version} of ${name} is not published for ${targets[0]}`, deviceId)
        continue
      }
      const running = said.get(deviceKey)?.running.find((model) => model.name === name)
      if (running?.digest === published.file.digest) {
        leaveOut('It runs this already', deviceId)
        continue
      }
      const reported = device.reported?.models.find((model) => model.name === name)
      const base = running?.digest ?? reported?.digest
      const whole = published.encodings.find(({ codec }) => codec === 'zstd')
      const fitting = published.encodings.filter(
        ({ baseDigest }) => baseDigest === undefined || baseDigest === base,
      )
      const wholeBytes = whole?.lengthBytes ?? published.file.lengthBytes
      hits.push({
        device,
        deviceId,
        site,
        published,
        wholeBytes,
        target: published.target,
        reachable: isReachable(device, reachableMs, now),
        expectedBytes: Math.min(wholeBytes, ...fitting.map(({ lengthBytes }) => lengthBytes)),
      })
    }
    const leftOut = [...out]
      .map(([reason, devices]) => ({
        reason,
        devices: devices.length,
        first: devices.slice(0, firstMax),
      }))
      .sort((a, b) => b.devices - a.devices)
    return { hits, leftOut, plan: planOf(request, hits.length) }
  }

  /** Rollouts of the same model that have some of these devices and are not through with them. */
  async function busyOf(name: string, keys: ReadonlySet<number>): Promise<RolloutPreview['busy']> {
    const rows = await store.reader
      .selectFrom('rollout_box')
      .innerJoin('rollout', 'rollout.rollout_id', 'rollout_box.rollout_id')
      .select([
        'rollout.rollout_id',
        'rollout.version',
        'rollout_box.device_key',
        'rollout_box.state',
      ])
      .where('rollout.open', '=', 1)
      .where('rollout.name', '=', name)
      .execute()
    const found = new Map<string, { version: number; devices: number }>()
    for (const { rollout_id, version, device_key, state } of rows) {
      const box = { state: state as KeptBox['state'] }
      if (!keys.has(device_key) || !(box.state === 'waiting' || isActive(box))) continue
      const one = found.get(rollout_id) ?? { version, devices: 0 }
      one.devices++
      found.set(rollout_id, one)
    }
    return [...found].map(([rolloutId, one]) => ({ rolloutId, ...one }))
  }

  const seedOf = ({ name, version }: { name: string; version: number }) => `${name} ${version}`

  /** Why a plan that hits nobody cannot begin; empty where it can. */
  async function nothing(
    { name, version, join }: RolloutPlan,
    hits: readonly Hit[],
  ): Promise<string> {
    if (hits.length > 0 || join) return ''
    const refused = `Cannot roll out version ${version} of ${name}: no device is hit`
    const published = await store.reader
      .selectFrom('artifact_publication')
      .select('name')
      .distinct()
      .execute()
    const names = published.map((one) => one.name)
    const near = names.includes(name) ? undefined : nearestName(name, names)
    return near === undefined
      ? `${refused}; its preview says why each was left out`
      : `${refused}, and nothing of "${name}" is published; did you mean "${near}"?`
  }

  async function detailOf(rollout: KeptRollout): Promise<RolloutDetail> {
    const decisions = await store.reader
      .selectFrom('rollout_decision')
      .selectAll()
      .where('rollout_id', '=', rollout.rolloutId)
      .orderBy('decision_id', 'desc')
      .limit(rolloutDecisionsMax)
      .execute()
    return {
      rollout: rowOfRollout(rollout),
      plan: rollout.plan,
      stages: [...rollout.shown.stages],
      decisions: decisions.map(({ at, act, detail, author }) => ({
        at: new Date(at).toISOString(),
        act,
        text: detail,
        by: author,
      })),
      leftOut: [...rollout.leftOut],
      supersededBy: rollout.supersededBy === '' ? null : rollout.supersededBy,
    }
  }

  const show: RolloutDesk['show'] = async (rolloutId) =>
    await detailOf(await findRollout(store.reader, rolloutId))

  /**
   * Changes a rollout as it is now, with an entry in its decisions and in the audit log.
   * @param change is given what is there; it may write devices, and throws where the change cannot be
   */
  async function change(
    rolloutId: string,
    asked: { act: string; text: string; by: string; note: AuditNote },
    change: (rollout: KeptRollout, tx: Transaction<Tables>) => Promise<KeptRollout> | KeptRollout,
  ): Promise<RolloutDetail> {
    const { act, text, by, note } = asked
    for (let tries = 1; ; tries++) {
      const done = await store.writer.transaction().execute(async (tx) => {
        const before = await findRollout(tx, rolloutId)
        note.about({ target: `${before.name}/${before.version}`, detail: `${rolloutId} ${text}` })
        const after = await change(before, tx)
        if (!(await replaceRollout(tx, { ...after, open: true }))) return false
        await putDecisions(tx, rolloutId, [{ at: clock(), act, text, by }])
        await note.within(tx)
        return true
      })
      if (done) break
      if (tries === triesMax)
        throw new Refusal(
          'conflict',
          'Cannot change the rollout: it changes all the time; try again',
        )
    }
    await keeper.look()
    return await show(rolloutId)
  }

  const refuse = (verb: string, { state }: KeptRollout, way: string): Refusal =>
    new Refusal('conflict', `Cannot ${verb} the rollout: it is ${state}; ${way}`)

  function boxShown(box: KeptBox, rollout: KeptRollout, now: number): RolloutBox {
    const device = fleet.byKey(box.deviceKey)
    const { plan } = rollout
    const site = device ? siteOf(device) : ''
    const opening = openingAt(plan.windows, device ? sites.zoneOf(site) : 'UTC', now)
    const { earlierHub, earlierMirrors, ...bytes } = box.bytes
    return {
      rolloutId: rollout.rolloutId,
      name: rollout.name,
      version: rollout.version,
      deviceId: device?.deviceId ?? 'removed',
      deviceName: device?.name ?? 'removed',
      site: site === '' ? 'removed' : site,
      stage: box.stage,
      state: box.state,
      attempt: box.attempt,
      since: new Date(box.since).toISOString(),
      confirmedAt: timeOf(box.confirmedAt),
      revoked: box.revoked,
      goingBack: box.goingBack,
      code: box.code,
      reason: box.reason,
      reachable: device ? isReachable(device, plan.reachableMs, now) : false,
      offeredAt: timeOf(box.offeredAt),
      contactAt: timeOf(box.contactAt),
      deadlineAt: timeOf(deadlineOf(box, plan, opening) ?? null),
      digest: box.digest,
      target: box.target,
      versionBefore: box.versionBefore,
      bytes: {
        ...bytes,
        fromHub: bytes.fromHub + earlierHub,
        fromMirrors: bytes.fromMirrors + earlierMirrors,
      },
      history: [...box.history],
      shadow: box.shadow,
      probation: box.probation,
    }
  }

  /** It is offered once more, from the beginning. */
  function again(box: KeptBox, now: number): KeptBox {
    const { bytes } = box
    return {
      ...box,
      state: 'waiting',
      attempt: Math.min(1000, box.attempt + 1),
      since: now,
      offeredAt: null,
      contactAt: null,
      confirmedAt: null,
      revoked: false,
      goingBack: false,
      code: null,
      reason: '',
      afterSequence: 0,
      shadow: null,
      probation: null,
      bytes: {
        codec: '',
        total: 0,
        done: 0,
        fromHub: 0,
        fromMirrors: 0,
        whole: bytes.whole,
        earlierHub: bytes.earlierHub + bytes.fromHub,
        earlierMirrors: bytes.earlierMirrors + bytes.fromMirrors,
      },
    }
  }

  return {
    preview: async (request) => {
      const { hits, leftOut, plan } = await hitsOf(request)
      const dealt = dealOut(plan.stages, hits, seedOf(plan))
      const countBy = (key: (hit: Hit) => string) => {
        const counts = new Map<string, number>()
        for (const hit of hits) counts.set(key(hit), (counts.get(key(hit)) ?? 0) + 1)
        return [...counts].sort(([, a], [, b]) => b - a)
      }
      const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
      return {
        plan,
        devices: hits.length,
        stages: plan.stages.map(({ name }, index) => {
          const members = dealt.filter(({ stage }) => stage === index).map(({ device }) => device)
          return {
            name,
            devices: members.length,
            reachable: members.filter(({ reachable }) => reachable).length,
            first: members.slice(0, firstMax).map(({ deviceId }) => deviceId),
          }
        }),
        sites: countBy(({ site }) => site).map(([site, devices]) => ({ site, devices })),
        targets: countBy(({ target }) => target).map(([target, devices]) => ({ target, devices })),
        leftOut,
        busy: await busyOf(plan.name, new Set(hits.map(({ device }) => device.deviceKey))),
        bytes: {
          expected: sum(hits.map(({ expectedBytes }) => expectedBytes)),
          whole: sum(hits.map(({ wholeBytes }) => wholeBytes)),
        },
        refused: await nothing(plan, hits),
      }
    },

    create: async (request, by, note, rolloutId = randomUUID()) => {
      note.about({ target: `${request.name}/${request.version}` })
      const { hits, leftOut, plan } = await hitsOf(request)
      const refused = await nothing(plan, hits)
      if (refused !== '') throw new Refusal('badRequest', refused)
      const now = clock()
      note.about({
        target: `${plan.name}/${plan.version}`,
        detail: `${rolloutId} ${hits.length} devices`,
      })
      const boxes = dealOut(plan.stages, hits, seedOf(plan)).map(({ device: hit, stage }, rank) =>
        newBox(rolloutId, hit.device.deviceKey, hit.published, { rank, stage }, now),
      )
      const stage = { startedAt: null, passedAt: null, approvedBy: '', regardless: false }
      const empty: Omit<KeptRollout, 'shown'> = {
        rolloutId,
        name: plan.name,
        version: plan.version,
        state: 'queued',
        why: '',
        stage: 0,
        plan,
        held: null,
        scope: plan.onStop,
        leftOut,
        supersededBy: '',
        stages: [...plan.stages, plan].map(() => stage),
        open: true,
        by,
        createdAt: now,
        startedAt: null,
        endedAt: null,
        revision: 1,
      }
      const facts = boxes.map((box) => {
        const { deviceId, online, lastSeenAt } = fleet.byKey(box.deviceKey) as Device
        return { ...box, deviceId, online, lastSeenAt, zone: 'UTC', running: null }
      })
      const none = {
        counts: {},
        bytes: {},
        offersPerMinute: 0,
        stages: [],
      } as unknown as KeptRollout['shown']
      const rollout = { ...empty, shown: shownOf({ ...empty, shown: none }, facts, now) }
      await store.writer.transaction().execute(async (tx) => {
        const { open } = await tx
          .selectFrom('rollout')
          .select(({ fn }) => fn.countAll<number>().as('open'))
          .where('state', 'in', ['queued', 'running', 'held', 'paused'])
          .executeTakeFirstOrThrow()
        if (Number(open) >= openRolloutsMax) {
          throw new Refusal(
            'conflict',
            `Cannot begin another rollout: ${openRolloutsMax} are not over`,
          )
        }
        await tx.insertInto('rollout').values(cellsOfRollout(rollout)).execute()
        await putBoxes(tx, boxes)
        const text = `Asked for ${hits.length} devices`
        await putDecisions(tx, rolloutId, [{ at: now, act: 'create', text, by }])
        await note.within(tx)
      })
      await keeper.look()
      return await show(rolloutId)
    },

    list: async ({ name, state } = {}) => {
      let query = store.reader.selectFrom('rollout').selectAll()
      if (name !== undefined) query = query.where('name', '=', name)
      if (state !== undefined) query = query.where('state', '=', state)
      const rows = await query
        .orderBy('created_at', 'desc')
        .orderBy('rollout_id')
        .limit(listedMax)
        .execute()
      return rows.map((row) => rowOfRollout(rolloutOf(row)))
    },

    show,

    boxes: async (rolloutId, { stage, state, search = '', after = 0, limit = 100 } = {}) => {
      const rollout = await findRollout(store.reader, rolloutId)
      const now = clock()
      const words = search
        .toLowerCase()
        .split(/\s+/)
        .filter((word) => word !== '')
      const fits = (box: KeptBox): boolean => {
        if (stage !== undefined && box.stage !== stage) return false
        if (state !== undefined && box.state !== state) return false
        const device = fleet.byKey(box.deviceKey)
        const text = device
          ? `${device.deviceId} ${device.name} ${siteOf(device)}`.toLowerCase()
          : ''
        return words.every((word) => text.includes(word))
      }
      const all = (await boxesOf(store.reader, rolloutId)).filter(fits)
      const page = all.slice(after, after + limit)
      return {
        boxes: page.map((box) => boxShown(box, rollout, now)),
        next: after + limit < all.length ? after + limit : null,
        total: all.length,
      }
    },

    pause: (rolloutId, by, note) =>
      change(rolloutId, { act: 'pause', text: 'Paused', by, note }, (rollout) => {
        if (!['queued', 'running', 'held'].includes(rollout.state)) {
          throw refuse('pause', rollout, 'only one that goes on can be paused')
        }
        return { ...rollout, state: 'paused', held: null, why: `Paused by ${by}` }
      }),

    resume: (rolloutId, by, note) =>
      change(rolloutId, { act: 'resume', text: 'Resumed', by, note }, (rollout) => {
        if (rollout.state !== 'paused') {
          const way = rollout.state === 'held' ? 'approve it' : 'only a paused one can be resumed'
          throw refuse('resume', rollout, way)
        }
        const state = rollout.startedAt === null ? 'queued' : 'running'
        return { ...rollout, state, why: `Resumed by ${by}` }
      }),

    abort: (rolloutId, rollBack, by, note) => {
      const text = rollBack ? 'Aborted, and what was updated goes back' : 'Aborted'
      return change(rolloutId, { act: 'abort', text, by, note }, (rollout) => {
        if (rollout.state === 'aborted' && (rollout.scope !== 'none' || !rollBack)) {
          throw refuse('abort', rollout, 'there is nothing left to abort')
        }
        return {
          ...rollout,
          state: 'aborted',
          scope: rollBack ? 'all' : 'none',
          held: null,
          endedAt: clock(),
          why: `${text}, by ${by}`,
        }
      })
    },

    approve: (rolloutId, stage, by, note) =>
      change(
        rolloutId,
        { act: 'approve', text: `Approved stage ${stage + 1}`, by, note },
        (rollout) => {
          const { held } = rollout
          if (rollout.state !== 'held' || !held)
            throw refuse('approve', rollout, 'it waits for nobody')
          if (held.stage !== stage) {
            throw new Refusal(
              'conflict',
              `Cannot approve stage ${stage + 1}: the rollout waits before stage ${held.stage + 1}`,
            )
          }
          const stages = rollout.stages.map((one, index) =>
            index === stage
              ? { ...one, approvedBy: by, regardless: one.regardless || held.regardless }
              : one,
          )
          return { ...rollout, stages, state: 'running', held: null, why: `Approved by ${by}` }
        },
      ),

    retry: (rolloutId, devices, by, note) =>
      change(
        rolloutId,
        { act: 'retry', text: retryText(devices), by, note },
        async (rollout, tx) => {
          const { state } = rollout
          if (state === 'aborted' || state === 'superseded') {
            throw refuse('retry', rollout, 'make a new one')
          }
          const keys = devices && new Set(devices.map((id) => fleet.get(id).deviceKey))
          const boxes = await boxesOf(tx, rolloutId)
          const unknown = [...(keys ?? [])].find(
            (key) => !boxes.some((box) => box.deviceKey === key),
          )
          if (unknown !== undefined) {
            const { deviceId } = fleet.byKey(unknown) as Device
            throw new Refusal(
              'notFound',
              `Cannot retry "${deviceId}": it is not part of the rollout`,
            )
          }
          const isMeant = (box: KeptBox): boolean => {
            if (box.goingBack) return false
            if (keys && !keys.has(box.deviceKey)) return false
            // What was taken back because it stopped is part of what failed.
            const wasEnded = box.state === 'cancelled' || box.state === 'rolled-back'
            return hasFailed(box) || (wasEnded && (keys !== undefined || state === 'stopped'))
          }
          const now = clock()
          const retried = boxes.filter(isMeant).map((box) => again(box, now))
          if (retried.length === 0) {
            throw new Refusal(
              'conflict',
              'Cannot retry: none of these devices has failed and is done with it',
            )
          }
          await putBoxes(tx, retried)
          if (state !== 'stopped') return rollout
          const stage = Math.min(...retried.map((box) => box.stage))
          const stages = rollout.stages.map((one, index) =>
            index < stage
              ? one
              : { ...one, passedAt: null, startedAt: index === stage ? one.startedAt : null },
          )
          return {
            ...rollout,
            state: 'running',
            stage,
            stages,
            endedAt: null,
            why: `Retried by ${by}`,
          }
        },
      ),

    deviceUpdates: async (deviceId) => {
      const device = fleet.get(deviceId)
      const { deviceKey } = device
      const row = await store.reader
        .selectFrom('device_update')
        .selectAll()
        .where('device_key', '=', deviceKey)
        .executeTakeFirst()
      const rows = await store.reader
        .selectFrom('rollout_box')
        .innerJoin('rollout', 'rollout.rollout_id', 'rollout_box.rollout_id')
        .selectAll('rollout_box')
        .where('rollout_box.device_key', '=', deviceKey)
        .orderBy('rollout.created_at', 'desc')
        .limit(deviceUpdatesMax)
        .execute()
      const now = clock()
      const updates: RolloutBox[] = []
      for (const box of rows.map(boxOf)) {
        updates.push(boxShown(box, await findRollout(store.reader, box.rolloutId), now))
      }
      const said = row && saidOf(row)
      return {
        running: said ? [...said.running] : [],
        at: timeOf(said?.receivedAt ?? null),
        updates,
      }
    },

    devicesWith: async (name) => {
      const said = await allSaid()
      return [...fleet.all()].filter(
        ({ deviceKey, retiredAt, reported }) =>
          retiredAt === null &&
          (said.get(deviceKey)?.running ?? reported?.models ?? []).some((one) => one.name === name),
      )
    },

    running: async (name) => {
      const counts = new Map<string, number>()
      for (const { running } of (await allSaid()).values()) {
        for (const model of running) {
          if (model.name === name) counts.set(model.digest, (counts.get(model.digest) ?? 0) + 1)
        }
      }
      return [...counts].sort(([, a], [, b]) => b - a).map(([digest]) => digest)
    },

    rollBack: async (deviceId, name, by, note) => {
      const { deviceKey } = fleet.get(deviceId)
      const row = await store.writer
        .selectFrom('rollout_box')
        .innerJoin('rollout', 'rollout.rollout_id', 'rollout_box.rollout_id')
        .selectAll('rollout_box')
        .where('rollout_box.device_key', '=', deviceKey)
        .where('rollout_box.current', '=', 1)
        .where('rollout.name', '=', name)
        .orderBy('rollout.created_at', 'desc')
        .executeTakeFirst()
      const box = row && boxOf(row)
      if (!box || !isTouched(box) || box.goingBack) {
        const why = box
          ? box.goingBack
            ? 'it was asked to already'
            : `its update is ${box.state}`
          : await noUpdate(deviceId, name)
        throw new Refusal('conflict', `Cannot take "${name}" back on "${deviceId}": ${why}`)
      }
      const text = `${deviceId} was asked to go back`
      await change(box.rolloutId, { act: 'roll-back', text, by, note }, async (rollout, tx) => {
        const said = await tx
          .selectFrom('device_update')
          .select('heard')
          .where('device_key', '=', deviceKey)
          .executeTakeFirst()
        const now = clock()
        const back: KeptBox = {
          ...box,
          goingBack: true,
          afterSequence: said?.heard ?? 0,
          reason: `Taken back by ${by}`,
          ...(box.state === 'committed' ? {} : { since: now }),
        }
        await putBoxes(tx, [back])
        return rollout
      })
      note.about({ target: deviceId, detail: name })
      const rollout = await findRollout(store.reader, box.rolloutId)
      const [after] = (await boxesOf(store.reader, box.rolloutId)).filter(
        (one) => one.deviceKey === deviceKey,
      )
      return boxShown(after ?? box, rollout, clock())
    },
  }

  async function noUpdate(deviceId: string, name: string): Promise<string> {
    const { deviceKey } = fleet.get(deviceId)
    const rows = await store.reader
      .selectFrom('rollout_box')
      .innerJoin('rollout', 'rollout.rollout_id', 'rollout_box.rollout_id')
      .select('rollout.name')
      .distinct()
      .where('rollout_box.device_key', '=', deviceKey)
      .execute()
    const names = rows.map((one) => one.name)
    const near = nearestName(name, names)
    const hint = near === undefined || near === name ? '' : `; did you mean "${near}"?`
    return `no update of it was offered${hint}`
  }
}

const retryText = (devices: readonly string[] | undefined): string =>
  devices === undefined ? 'Retries all that failed' : `Retries ${devices.length} devices`

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())
