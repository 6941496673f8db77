/** Tells what happens in a rollout, as it happens, until it is over and every box is at rest. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isRolloutOver, type RolloutBox, type RolloutRow } from '@edgeloop/protocol'
import type { HubClient } from '../src/hub-client.ts'
import { bytes } from '../src/output.ts'

/** A line of the story, with what programs want to know of it. */
export type Told = { readonly text: string } & Readonly<Record<string, unknown>>

const lookIntervalMs = 250

/** @returns how it ended */
export async function followRollout(
  hub: HubClient,
  rolloutId: string,
  tell: (told: Told) => void,
  signal: AbortSignal,
): Promise<RolloutRow> {
  const params = { rolloutId }
  const seen = new Set<string>()
  let decided = 0
  for (;;) {
    const { rollout, decisions } = await hub.call('rolloutShow', { params, signal })
    const { boxes } = await hub.call('rolloutBoxList', { params, query: {}, signal })
    const news: { at: string; told: Told }[] = []
    for (const box of boxes) {
      for (const { state, at } of box.history) {
        if (seen.has(keyOf(box, state))) continue
        seen.add(keyOf(box, state))
        const { deviceId } = box
        const text = `${deviceId.padEnd(7)} ${state.padEnd(12)} ${detailOf(box, state)}`
        news.push({ at, told: { deviceId, state, text } })
      }
    }
    for (const { at, act, text, by } of decisions.slice(0, decisions.length - decided)) {
      const line = `${'hub'.padEnd(7)} ${act.padEnd(12)} ${text}${by && ` (${by})`}`
      news.unshift({ at, told: { decision: act, text: line } })
    }
    // Boxes and hub have one clock here.
    for (const { told } of news.toSorted((a, b) => a.at.localeCompare(b.at))) tell(told)
    decided = decisions.length
    const { counts } = rollout
    if (isRolloutOver(rollout) && counts.active + counts.goingBack === 0) return rollout
    await sleep(lookIntervalMs, undefined, { signal })
  }
}

const keyOf = ({ deviceId, attempt }: RolloutBox, state: string): string =>
  `${deviceId} ${attempt} ${state}`

/** What is worth saying of a box that came into a state. */
function detailOf(box: RolloutBox, state: string): string {
  if (state === 'verified') {
    const { codec, fromHub, whole } = box.bytes
    return `${bytes(fromHub)} as ${codec}; the whole file is ${bytes(whole)}`
  }
  if (state === 'activating' && box.shadow) {
    const { agreement, frames } = box.shadow
    if (frames === 0) return 'was not compared with the model before'
    return `agreed with the model before in ${(agreement * 100).toFixed(0)} % on ${frames} frames`
  }
  return state === box.state ? box.reason : ''
}
