/**
 * What changed, for pages that stay open: a bounded ring of changes with ids that grow, replayed to
 * whoever comes back with the last id it saw. A client too slow to take them is dropped; it comes back and
 * resumes. Who has missed more than the ring holds is told to fetch everything anew (`reset`).
 */
import type { Change } from '@edgeloop/protocol'

/** The ring: most changes, and how long each stays. */
export const changesMax = 20_000
export const changeKeptMs = 5 * 60_000
/** A client with more than this unsent is dropped. */
export const unsentBytesMax = 1024 * 1024
/** Above this many changes in a second the rest of that second is one `reset`. */
export const changesPerSecondMax = 1000

/** Where changes are written to: one open reply. */
export type ChangeSink = {
  /** Sends text; the client gets it in order. */
  write(text: string): void
  /** Bytes that were written and not yet sent. */
  unsentBytes(): number
  /** Ends a client that is too slow. */
  drop(): void
}

export type Changes = {
  publish(change: Change): void
  /** True where somebody listens or may come back for it. */
  readonly wanted: boolean
  /** Replays what came after `lastEventId`, then sends what comes. Returns how to stop. */
  subscribe(lastEventId: string | undefined, sink: ChangeSink): () => void
  /** A comment to every client, so that a dead connection is noticed at both ends. */
  beat(): void
  readonly subscribers: number
}

type Kept = { readonly sequence: number; readonly at: number; readonly change: Change | 'reset' }

/** @param epoch differs from that of every earlier start of the hub; letters and digits */
export function openChanges({ epoch, clock }: { epoch: string; clock: () => number }): Changes {
  const sinks = new Set<ChangeSink>()
  /** Ring of `changesMax` places; the change with sequence s lies at s % changesMax. */
  const ring: (Kept | undefined)[] = []
  let newest = 0
  let second = 0
  let inSecond = 0
  let lastWantedAt = Number.NEGATIVE_INFINITY

  function keep(change: Change | 'reset', at: number): void {
    newest++
    const kept = { sequence: newest, at, change }
    ring[newest % changesMax] = kept
    if (sinks.size === 0) return
    const text = textOf(epoch, kept)
    for (const sink of sinks) send(sink, text)
  }

  function send(sink: ChangeSink, text: string): void {
    if (sink.unsentBytes() > unsentBytesMax) {
      sinks.delete(sink)
      sink.drop()
      return
    }
    sink.write(text)
  }

  function publish(change: Change): void {
    const at = clock()
    const thisSecond = Math.floor(at / 1000)
    if (thisSecond !== second) {
      second = thisSecond
      inSecond = 0
    }
    inSecond++
    if (inSecond <= changesPerSecondMax) keep(change, at)
    else if (inSecond === changesPerSecondMax + 1) keep('reset', at)
  }

  /** Everything after `sequence`, or undefined where part of it is gone. */
  function after(sequence: number): Kept[] | undefined {
    if (sequence > newest || newest - sequence >= changesMax) return undefined
    const oldestAt = clock() - changeKeptMs
    const missed: Kept[] = []
    for (let s = sequence + 1; s <= newest; s++) {
      const kept = ring[s % changesMax]
      if (kept?.sequence !== s || kept.at < oldestAt) return undefined
      missed.push(kept)
    }
    return missed
  }

  function subscribe(lastEventId: string | undefined, sink: ChangeSink): () => void {
    lastWantedAt = clock()
    if (lastEventId !== undefined && lastEventId !== '') {
      const [, itsEpoch, sequence] = /^(\w+)-(\d+)$/.exec(lastEventId) ?? []
      const missed = itsEpoch === epoch ? after(Number(sequence)) : undefined
      if (missed) for (const kept of missed) sink.write(textOf(epoch, kept))
      else sink.write(textOf(epoch, { sequence: newest, at: clock(), change: 'reset' }))
    }
    sinks.add(sink)
    return () => {
      lastWantedAt = clock()
      sinks.delete(sink)
    }
  }

  return {
    publish,
    subscribe,
    beat: () => {
      for (const sink of sinks) send(sink, ': beat\n\n')
    },
    get wanted() {
      return sinks.size > 0 || clock() - lastWantedAt < changeKeptMs
    },
    get subscribers() {
      return sinks.size
    },
  }
}

function textOf(epoch: string, { sequence, change }: Kept): string {
  const id = `id: ${epoch}-${sequence}\n`
  if (change === 'reset') return `${id}event: reset\ndata: {}\n\n`
  return `${id}event: change\ndata: ${JSON.stringify(change)}\n\n`
}
