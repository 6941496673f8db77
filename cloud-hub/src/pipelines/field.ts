/** The devices that a pipeline means: which, at which sites, and what has to be compiled for them. */
import type { PipelineConfig, Selection } from '@edgeloop/protocol'
import { type Device, siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import { targetsOf } from '../rollouts/keeper.ts'
import type { RolloutDesk } from '../rollouts/rollouts.ts'
import { isSelected } from '../rollouts/selection.ts'

export type FieldDevice = {
  readonly deviceId: string
  readonly site: string
  /** What it takes, the most particular first. */
  readonly targets: readonly string[]
}

/** The devices that are meant: those that the configuration selects, or those that run the model. */
export async function devicesMeant(
  deps: { readonly fleet: Fleet; readonly rollouts: Pick<RolloutDesk, 'devicesWith'> },
  model: string,
  { rollout }: PipelineConfig,
): Promise<FieldDevice[]> {
  const { fleet, rollouts } = deps
  const select = rollout?.select
  if (!select) return (await rollouts.devicesWith(model)).map(fieldDevice)
  return [...fleet.all()]
    .filter((device) => device.retiredAt === null)
    .filter((device) => isSelected(select, { ...fieldDevice(device), tags: device.tags }))
    .map(fieldDevice)
}

const fieldDevice = (device: Device): FieldDevice => ({
  deviceId: device.deviceId,
  site: siteOf(device),
  targets: targetsOf(device),
})

/**
 * What has to be compiled so that each device gets something: of each, the first of its targets that the compiler knows.
 * @returns devices by target; those that nothing can be compiled for are under the empty name
 */
export function targetsMeant(
  devices: readonly FieldDevice[],
  known: readonly string[],
): Map<string, FieldDevice[]> {
  return Map.groupBy(devices, ({ targets }) => targets.find((one) => known.includes(one)) ?? '')
}

/**
 * Which devices a rollout selects, without those at sites that keep what they have.
 * @returns undefined where nobody is left
 */
export function selectionWithout(
  select: Selection | undefined,
  devices: readonly FieldDevice[],
  kept: readonly string[],
): Selection | undefined {
  const meant = devices.filter(({ site }) => !kept.includes(site))
  if (meant.length === 0) return undefined
  if (!select) return { devices: meant.map(({ deviceId }) => deviceId) }
  if (kept.length === 0) return select
  // By site, so that a device that comes to one of them later may still join.
  const { all: _, ...lists } = select
  return { ...lists, sites: [...new Set(meant.map(({ site }) => site))].sort() }
}
