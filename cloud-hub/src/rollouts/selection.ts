/** Which devices a rollout hits, and in which order and stage. Pure. */
import { createHash } from 'node:crypto'
import {
  canaryGate,
  careDefaults,
  planDefaults,
  Refusal,
  type RolloutPlan,
  type RolloutRequest,
  rateDefaults,
  type Selection,
  type StagePlan,
  stageDefaults,
} from '@edgeloop/protocol'

/** A device, as far as it can be chosen. */
export type Chosen = {
  readonly deviceId: string
  readonly site: string
  readonly tags: readonly string[]
  readonly targets: readonly string[]
}

export function isSelected(selection: Selection, device: Chosen): boolean {
  const { sites, tags, targets, devices } = selection
  return (
    (!sites || sites.includes(device.site)) &&
    (!tags || tags.some((tag) => device.tags.includes(tag))) &&
    (!targets || targets.some((target) => device.targets.includes(target))) &&
    (!devices || devices.includes(device.deviceId))
  )
}

/**
 * The plan that a request asks for, everything that was left out filled in.
 * @param devices that it hits: what a canary may lose depends on its size
 * @throws {Refusal} badRequest for stages that do not lead to all devices, or a selection that says two things
 */
export function planOf(request: RolloutRequest, devices: number): RolloutPlan {
  const { name, version, select, stages, rate, care, ...rest } = request
  if (select.all && Object.keys(select).length > 1) {
    throw new Refusal(
      'badRequest',
      'Cannot select all devices and some at once: leave out "all" or the lists',
    )
  }
  const usual = stageDefaults(stageSizes(stageDefaults(0), devices)[0] ?? 0)
  const [canary, later] = usual as [StagePlan, StagePlan]
  const planned = stages?.map(({ gate, ...stage }, index): StagePlan => {
    const base = index === 0 ? canary : later
    const part = { ...base, name: `${+(stage.share * 100).toFixed(2)} %`, devicesMin: 0, ...stage }
    const size = stageSizes([part], devices)[0] ?? 0
    const usualGate = index === 0 && stages.length > 1 ? canaryGate(size) : base.gate
    return { ...part, gate: { ...usualGate, ...gate } }
  })
  const plan: RolloutPlan = {
    ...planDefaults,
    windows: [],
    deadlines: {},
    ...rest,
    name,
    version,
    select,
    stages: planned ?? usual,
    rate: { ...rateDefaults, ...rate },
    care: { ...careDefaults, ...care },
  }
  checkStages(plan.stages)
  if (plan.rate.perMinuteMax < plan.rate.perMinute) {
    plan.rate = { ...plan.rate, perMinuteMax: plan.rate.perMinute }
  }
  return plan
}

function checkStages(stages: readonly StagePlan[]): void {
  for (const [index, { share }] of stages.entries()) {
    const before = stages[index - 1]?.share ?? 0
    if (share > before) continue
    throw new Refusal(
      'badRequest',
      `Cannot use stages that do not grow: ${percent(share)} comes after ${percent(before)}`,
    )
  }
  const last = stages.at(-1)?.share ?? 0
  if (last !== 1) {
    throw new Refusal(
      'badRequest',
      `Cannot use stages that end at ${percent(last)} of the devices: the last is all of them, with share 1`,
    )
  }
}

const percent = (share: number): string => `${+(share * 100).toFixed(2)} %`

/** How many devices each stage adds. */
export function stageSizes(
  stages: readonly Pick<StagePlan, 'share' | 'devicesMin'>[],
  devices: number,
): number[] {
  let reached = 0
  return stages.map(({ share, devicesMin }) => {
    const until = Math.min(
      devices,
      Math.max(Math.ceil(share * devices - 1e-9), devicesMin, reached),
    )
    const size = until - reached
    reached = until
    return size
  })
}

/** A device of a rollout before it is one. */
export type Candidate = {
  readonly deviceId: string
  readonly site: string
  readonly target: string
  readonly reachable: boolean
}

/**
 * Deals devices out to stages. Those that can be reached come first: a stage of boxes that are off says nothing, and holds up the
 * next. Among them each stage is a fair share of every kind of box at every site, by chance.
 * @param seed another one deals otherwise; the same deals the same
 * @returns the devices in the order of their stages
 */
export function dealOut<C extends Candidate>(
  stages: readonly StagePlan[],
  candidates: readonly C[],
  seed: string,
): { readonly device: C; readonly stage: number }[] {
  const strata = new Map<string, { device: C; chance: string }[]>()
  for (const device of candidates) {
    const stratum = `${device.reachable} ${device.target} ${device.site}`
    const chance = createHash('sha256').update(`${seed} ${device.deviceId}`).digest('hex')
    const list = strata.get(stratum)
    if (list) list.push({ device, chance })
    else strata.set(stratum, [{ device, chance }])
  }
  const placed = [...strata.values()].flatMap((list) => {
    list.sort((a, b) => (a.chance < b.chance ? -1 : 1))
    // Where in its stratum a device stands: any beginning of the whole has the same share of each.
    return list.map(({ device, chance }, index) => ({
      device,
      chance,
      place: (index + Number.parseInt(chance.slice(0, 8), 16) / 2 ** 32) / list.length,
    }))
  })
  placed.sort(
    (a, b) =>
      Number(b.device.reachable) - Number(a.device.reachable) ||
      a.place - b.place ||
      (a.chance < b.chance ? -1 : 1),
  )
  let at = 0
  return stageSizes(stages, placed.length).flatMap((size, stage) => {
    const part = placed.slice(at, at + size)
    at += size
    return part.map(({ device }) => ({ device, stage }))
  })
}
