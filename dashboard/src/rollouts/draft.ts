/** A rollout that is being put together: all of it stands in the address, so that a half-made one can be handed on. Pure. */
import {
  approvals,
  type MaintenanceWindow,
  type RolloutRequest,
  rollBackScopes,
  type Selection,
  type UpdateCare,
} from '@edgeloop/protocol'

const minuteMs = 60_000
const stagesMax = 20
const wordsMax = 500

/** A stage as the form has it. */
export type StageDraft = {
  /** Of all boxes, counted from the first: 1 to 100. */
  readonly percent: number
  readonly atLeast: number
  readonly soakMinutes: number
}

export const stagesUsual: readonly StageDraft[] = [
  { percent: 1, atLeast: 10, soakMinutes: 30 },
  { percent: 5, atLeast: 0, soakMinutes: 30 },
  { percent: 25, atLeast: 0, soakMinutes: 30 },
  { percent: 100, atLeast: 0, soakMinutes: 30 },
]

export type Draft = {
  readonly name?: string
  readonly version?: number
  readonly all?: true
  readonly sites?: readonly string[]
  readonly tags?: readonly string[]
  readonly targets?: readonly string[]
  readonly devices?: readonly string[]
  readonly stages?: readonly StageDraft[]
  readonly window?: MaintenanceWindow
  readonly approval?: (typeof approvals)[number]
  readonly onStop?: (typeof rollBackScopes)[number]
  readonly join?: true
  readonly shadowMinutes?: number
  readonly probationMinutes?: number
  /** 1 to 100. */
  readonly agreement?: number
  readonly note?: string
  readonly step?: number
}

export const steps = ['Model', 'Boxes', 'Stages', 'Summary'] as const

/** Reads a draft from an address; what does not fit is left out. */
export function readDraft(search: Record<string, unknown>): Draft {
  const whole = (value: unknown, min: number, max: number): number | undefined =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
      ? Number(value)
      : undefined
  const text = (value: unknown, max: number): string | undefined =>
    typeof value === 'string' && value !== '' && value.length <= max ? value : undefined
  const words = (value: unknown): readonly string[] | undefined => {
    const given = Array.isArray(value) ? value : typeof value === 'string' ? [value] : []
    const read = given.filter((one) => typeof one === 'string' && one !== '').slice(0, wordsMax)
    return read.length > 0 ? read : undefined
  }
  const stageOf = (value: unknown): StageDraft | undefined => {
    const given = (value ?? {}) as Record<string, unknown>
    const percent = typeof given.percent === 'number' ? given.percent : 0
    if (!(percent > 0 && percent <= 100)) return undefined
    return {
      percent,
      atLeast: whole(given.atLeast, 0, 10_000) ?? 0,
      soakMinutes: whole(given.soakMinutes, 0, 43_200) ?? 30,
    }
  }
  const stages = Array.isArray(search.stages)
    ? search.stages.slice(0, stagesMax).flatMap((one) => stageOf(one) ?? [])
    : []
  const draft = {
    name: text(search.name, 63),
    version: whole(search.version, 1, 1_000_000),
    all: search.all === true || undefined,
    sites: words(search.sites),
    tags: words(search.tags),
    targets: words(search.targets),
    devices: words(search.devices),
    stages: stages.length > 0 ? stages : undefined,
    window: windowOf(search.window),
    approval: approvals.find((one) => one === search.approval && one !== 'none'),
    onStop: rollBackScopes.find((one) => one === search.onStop && one !== 'all'),
    join: search.join === true || undefined,
    shadowMinutes: whole(search.shadowMinutes, 0, 1440),
    probationMinutes: whole(search.probationMinutes, 0, 1440),
    agreement: whole(search.agreement, 0, 100),
    note: text(search.note, 500),
    step: whole(search.step, 2, steps.length),
  }
  return Object.fromEntries(
    Object.entries(draft).filter(([, value]) => value !== undefined),
  ) as Draft
}

function windowOf(value: unknown): MaintenanceWindow | undefined {
  const { days, from, to } = (value ?? {}) as Record<string, unknown>
  const clock = /^([01]\d|2[0-3]):[0-5]\d$/
  if (!Array.isArray(days) || typeof from !== 'string' || typeof to !== 'string') return undefined
  const read = [...new Set(days)].filter((day) => Number.isInteger(day) && day >= 1 && day <= 7)
  if (read.length === 0 || !clock.test(from) || !clock.test(to)) return undefined
  return { days: read as number[], from, to }
}

/** Which boxes are meant; undefined where nothing was said. */
export function selectionOf(draft: Draft): Selection | undefined {
  if (draft.all) return { all: true }
  const select = {
    ...(draft.sites && { sites: [...draft.sites] }),
    ...(draft.tags && { tags: [...draft.tags] }),
    ...(draft.targets && { targets: [...draft.targets] }),
    ...(draft.devices && { devices: [...draft.devices] }),
  }
  return Object.keys(select).length > 0 ? select : undefined
}

/** What is asked of each box that is not as usual. */
export function careOf({ shadowMinutes, probationMinutes, agreement }: Draft): Partial<UpdateCare> {
  return {
    ...(shadowMinutes !== undefined && { shadowMs: shadowMinutes * minuteMs }),
    ...(probationMinutes !== undefined && { probationMs: probationMinutes * minuteMs }),
    ...(agreement !== undefined && { agreementMin: agreement / 100 }),
  }
}

/** What is asked of the hub; undefined while model, version or boxes are missing, or stages do not lead to all. */
export function requestOf(draft: Draft): RolloutRequest | undefined {
  const select = selectionOf(draft)
  const { name, version, stages, window, agreement } = draft
  if (name === undefined || version === undefined || !select) return undefined
  if (stages && stagesProblem(stages) !== undefined) return undefined
  const care = careOf(draft)
  return {
    name,
    version,
    select,
    ...(stages && {
      stages: stages.map(({ percent, atLeast, soakMinutes }, at) => ({
        name: at === 0 && stages.length > 1 ? 'canary' : `${percent} %`,
        share: percent / 100,
        devicesMin: atLeast,
        soakMs: soakMinutes * minuteMs,
        ...(agreement !== undefined && { gate: { agreementMin: agreement / 100 } }),
      })),
    }),
    ...(window && { windows: [window] }),
    ...(draft.approval && { approval: draft.approval }),
    ...(draft.onStop && { onStop: draft.onStop }),
    ...(draft.join && { join: true }),
    ...(Object.keys(care).length > 0 && { care }),
    ...(draft.note !== undefined && { note: draft.note }),
  }
}

/** Why stages cannot be; undefined where they can. */
export function stagesProblem(stages: readonly StageDraft[]): string | undefined {
  for (const [at, { percent }] of stages.entries()) {
    const before = stages[at - 1]?.percent ?? 0
    if (percent <= before) return `Stage ${at + 1} has to reach more boxes than ${before} %`
  }
  return stages.at(-1)?.percent === 100 ? undefined : 'The last stage has to reach 100 %'
}
