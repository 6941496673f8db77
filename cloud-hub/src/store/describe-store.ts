/** What a store holds, for a person who wants to know before they move, back up or prune it. */
import type { StoreAddress } from './store-address.ts'
import { isOpen, openSource } from './store-ends.ts'

export type StoreDescription = {
  readonly kind: StoreAddress['kind']
  readonly store: string
  readonly sizeBytes: number
  /** Newest step of its schema. */
  readonly schema: string | null
  /** True while a hub has it open. */
  readonly open: boolean
  /** When its oldest and newest event came in, ISO in UTC. */
  readonly oldestEventAt: string | null
  readonly newestEventAt: string | null
  readonly tables: readonly { readonly table: string; readonly rows: number }[]
}

/** Looks at a store; a hub may have it open. @throws {Error} when there is none */
export async function describeStore(address: StoreAddress): Promise<StoreDescription> {
  await using source = await openSource(address, { alone: false })
  const tables: { table: string; rows: number }[] = []
  for (const { name } of source.tables) {
    tables.push({ table: name, rows: (await source.number(`select count(*) from "${name}"`)) ?? 0 })
  }
  const hasEvents = source.tables.some(({ name }) => name === 'event')
  // By the ends of the key and not by the smallest time: that would read every row.
  const edge = async (end: 'min' | 'max'): Promise<string | null> => {
    if (!hasEvents) return null
    const at = await source.number(
      `select received_at from event where event_id = (select ${end}(event_id) from event)`,
    )
    return at === null ? null : new Date(at).toISOString()
  }
  return {
    kind: address.kind,
    store: address.shown,
    sizeBytes: source.sizeBytes,
    schema: source.steps.at(-1) ?? null,
    open: await isOpen(address),
    oldestEventAt: await edge('min'),
    newestEventAt: await edge('max'),
    tables,
  }
}
