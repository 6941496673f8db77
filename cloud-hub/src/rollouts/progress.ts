/** How many boxes of a rollout run its version, over time: a line as small as a word for each row of a list. */
import { type RolloutProgress, rolloutProgressSlots } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'

/** @param rolloutIds unknown ones are left out of the answer */
export async function readProgress(
  store: Store,
  rolloutIds: readonly string[],
  now: number,
): Promise<RolloutProgress> {
  const rollouts = await store.reader
    .selectFrom('rollout')
    .select(['rollout_id', 'created_at', 'started_at', 'ended_at'])
    .where('rollout_id', 'in', [...rolloutIds])
    .execute()
  const found = await store.reader
    .selectFrom('rollout_box')
    .select(['rollout_id', 'confirmed_at'])
    .where('rollout_id', 'in', [...rolloutIds])
    .where('confirmed_at', 'is not', null)
    .execute()
  const times = Map.groupBy(found, (row) => row.rollout_id)
  return {
    rollouts: rollouts.map((row) => ({
      rolloutId: row.rollout_id,
      confirmed: slotsOf(
        (times.get(row.rollout_id) ?? []).flatMap(({ confirmed_at }) => confirmed_at ?? []),
        { from: row.started_at ?? row.created_at, to: row.ended_at ?? now },
      ),
    })),
  }
}

/** How many times lie before the end of each slot; all of them before the end of the last. */
export function slotsOf(
  times: readonly number[],
  { from, to }: { readonly from: number; readonly to: number },
): number[] {
  const slots = new Array<number>(rolloutProgressSlots).fill(0)
  const slotMs = Math.max(1, (to - from) / rolloutProgressSlots)
  for (const at of times) {
    const slot = Math.floor((at - from) / slotMs)
    const place = Math.max(0, Math.min(rolloutProgressSlots - 1, slot))
    slots[place] = (slots[place] ?? 0) + 1
  }
  let sum = 0
  return slots.map((count) => (sum += count))
}
