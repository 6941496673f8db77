/**
 * Versions of a device's configuration: who wished which, what the device made of it, and in what two of
 * them differ. Passwords are compared and never shown.
 */
import { type Static, Type } from 'typebox'
import { Timestamp } from './names.ts'
import { DeviceConfig, hideSecret } from './stream.ts'

/** Versions that are kept of one device; the oldest give way. */
export const configVersionsMax = 100

/** `sent`: the device has not said yet what it makes of it, or was given a newer one first. */
export const configOutcomes = ['sent', 'accepted', 'refused'] as const

const version = Type.Integer({ minimum: 0 })
const facts = {
  version,
  at: Timestamp,
  /** Who wished it; empty where that is not known. */
  by: Type.String(),
  outcome: Type.Enum(configOutcomes),
  /** Why the device refused it; empty otherwise. */
  reason: Type.String(),
}

export const ConfigVersion = Type.Object(facts, { $id: 'ConfigVersion' })
export type ConfigVersion = Static<typeof ConfigVersion>

/** A version with what it says. */
export const ConfigVersionDetail = Type.Object(
  { ...facts, config: DeviceConfig },
  { $id: 'ConfigVersionDetail' },
)
export type ConfigVersionDetail = Static<typeof ConfigVersionDetail>

/** One difference. Without `before` it was added, without `after` removed. */
export const ConfigChange = Type.Object(
  {
    /** Such as `/streams/gate/analysisFps`: streams by their id, zones, lines and masks by their name. */
    path: Type.String(),
    before: Type.Optional(Type.Unknown()),
    after: Type.Optional(Type.Unknown()),
    /** A password differs, which is why both may look the same. */
    secret: Type.Boolean(),
  },
  { $id: 'ConfigChange' },
)
export type ConfigChange = Static<typeof ConfigChange>

/** What leads from one version to another; version 0 is the empty configuration before the first. */
export const ConfigDiff = Type.Object(
  { from: version, to: version, changes: Type.Array(ConfigChange) },
  { $id: 'ConfigDiff' },
)
export type ConfigDiff = Static<typeof ConfigDiff>

/** The configuration of a device of which nothing has been wished yet. */
export const emptyConfig: DeviceConfig = { streams: [] }

/** What leads from one configuration to another, in order of the path; nothing where they are the same. */
export function diffConfigs(before: DeviceConfig, after: DeviceConfig): ConfigChange[] {
  const changes: ConfigChange[] = []
  compare('', before, after, changes)
  return changes
}

function compare(path: string, before: unknown, after: unknown, changes: ConfigChange[]): void {
  const [from, to] = [partsOf(before), partsOf(after)]
  if (from && to) {
    for (const key of new Set([...from.keys(), ...to.keys()])) {
      compare(`${path}/${key}`, from.get(key), to.get(key), changes)
    }
    return
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return
  const [shownBefore, shownAfter] = [hideSecrets(before), hideSecrets(after)]
  changes.push({
    path,
    ...(before !== undefined && { before: shownBefore }),
    ...(after !== undefined && { after: shownAfter }),
    secret: JSON.stringify(shownBefore) === JSON.stringify(shownAfter),
  })
}

/** What a value consists of by name, or undefined where it is compared as a whole. */
function partsOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (!Array.isArray(value)) return new Map(Object.entries(value))
  const names = value.map((item: { streamId?: unknown; name?: unknown } | null) =>
    String(item?.streamId ?? item?.name ?? ''),
  )
  const named = names.every((name) => name !== '') && new Set(names).size === names.length
  return named ? new Map(names.map((name, i) => [name, value[i]])) : undefined
}

/** A copy of a configuration, or a part of one, without its passwords. */
export function hideSecrets<T>(value: T): T {
  return mapStrings(value, hideSecret)
}

/** A copy in which every text, at whatever depth, is what `change` makes of it. */
export function mapStrings<T>(value: T, change: (text: string, path: string) => string): T {
  const walk = (part: unknown, path: string): unknown => {
    if (typeof part === 'string') return change(part, path)
    if (Array.isArray(part)) return part.map((item, i) => walk(item, `${path}/${i}`))
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(
      Object.entries(part).map(([key, item]) => [key, walk(item, `${path}/${key}`)]),
    )
  }
  // Texts stay texts and everything else stays what it is: the shape is that of `value`.
  return walk(value, '') as T
}
