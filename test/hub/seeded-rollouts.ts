/** Rollouts as a hub would have kept them, for tests of what is shown of them. Nothing is decided about them any more. */
import { createHash } from 'node:crypto'
import type { RolloutState } from '@edgeloop/protocol'
import {
  cellsOfRollout,
  putBoxes,
  putDecisions,
} from '../../cloud-hub/src/rollouts/rollout-rows.ts'
import type { TestHub } from './fixture.ts'
import { type RolloutScene, rolloutScene } from './rollout-scene.ts'

/** Devices that were never enrolled: rows alone. @returns their ids */
export async function seedDevices(hub: TestHub, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => `box-${String(n + 1).padStart(3, '0')}`)
  for (const deviceId of ids) await hub.enrol(deviceId, `Box ${deviceId.slice(4)}`)
  return ids
}

/** @param given.open whether the hub still decides about it */
export async function seedRollout(
  hub: TestHub,
  deviceIds: readonly string[],
  state: RolloutState,
  given: { readonly why?: string; readonly version?: number; readonly note?: string } = {},
): Promise<RolloutScene> {
  const rows = await hub.inStore(({ writer }) =>
    writer
      .selectFrom('device')
      .select(['device_key', 'device_id', 'name', 'site'])
      .where('device_id', 'in', [...deviceIds])
      .orderBy('device_id')
      .execute(),
  )
  const devices = rows.map((row) => ({ deviceId: row.device_id, name: row.name, site: row.site }))
  const scene = rolloutScene(devices, { state, ...given })
  const { rollout, plan, stages, decisions, leftOut } = scene.detail
  const time = (at: string | null) => (at === null ? null : Date.parse(at))
  await hub.inStore(async ({ writer }) => {
    await writer
      .insertInto('rollout')
      .values(
        cellsOfRollout({
          rolloutId: rollout.rolloutId,
          name: rollout.name,
          version: rollout.version,
          state,
          why: rollout.why,
          stage: rollout.stage,
          plan,
          leftOut,
          held: null,
          stages: stages.map((stage) => ({
            startedAt: time(stage.startedAt),
            passedAt: time(stage.passedAt),
            approvedBy: stage.approvedBy,
            regardless: false,
          })),
          scope: plan.onStop,
          supersededBy: '',
          open: false,
          by: rollout.by,
          shown: {
            counts: rollout.counts,
            bytes: rollout.bytes,
            stages,
            offersPerMinute: rollout.offersPerMinute,
          },
          createdAt: Date.parse(rollout.createdAt),
          startedAt: time(rollout.startedAt),
          endedAt: time(rollout.endedAt),
          revision: rollout.revision,
        }),
      )
      .execute()
    await putBoxes(
      writer,
      scene.boxes.map((box, rank) => ({
        rolloutId: box.rolloutId,
        rank,
        stage: box.stage,
        state: box.state,
        deviceKey: rows.find((row) => row.device_id === box.deviceId)?.device_key ?? 0,
        attempt: box.attempt,
        since: Date.parse(box.since),
        revoked: box.revoked,
        offeredAt: time(box.offeredAt),
        contactAt: time(box.contactAt),
        confirmedAt: time(box.confirmedAt),
        goingBack: box.goingBack,
        current: true,
        code: box.code,
        reason: box.reason,
        digest: box.digest,
        target: box.target,
        manifest: { path: 'manifests/parts/3/any.json', digest: digestOf('m'), lengthBytes: 900 },
        versionBefore: box.versionBefore,
        afterSequence: 0,
        activateBefore: null,
        bytes: { ...box.bytes, earlierHub: 0, earlierMirrors: 0 },
        history: box.history,
        shadow: box.shadow,
        probation: box.probation,
      })),
    )
    await putDecisions(
      writer,
      rollout.rolloutId,
      decisions
        .toReversed()
        .map(({ at, act, text, by }) => ({ at: Date.parse(at), act, text, by })),
    )
  })
  return scene
}

const digestOf = (text: string) => createHash('sha256').update(text).digest('hex')
