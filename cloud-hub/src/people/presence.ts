/**
 * What stays open after its request was let in: change streams and live pictures. Whoever is signed out, runs
 * out, or is removed is cut off there too.
 */
import type { Person } from './person.ts'

type Open = { readonly person: Person; readonly end: () => void }

export type Presence = {
  /** Calls `end` when the person may no longer be here. @returns what to call when it ended by itself */
  watch(person: Person, end: () => void): () => void
  /** Ends what this session or token holds open. */
  endCredential(credentialId: string): void
  /** Ends what this account holds open, by whatever session or token. @param but a credential that stays */
  endUser(user: string, but?: string): void
  /** Ends what has run out. */
  endExpired(now: number): void
  /** Sessions and tokens that hold something open now. */
  credentials(via: Person['via']): ReadonlySet<string>
}

export function openPresence(): Presence {
  const all = new Set<Open>()
  const endWhere = (matches: (person: Person) => boolean): void => {
    for (const open of [...all]) {
      if (!matches(open.person)) continue
      all.delete(open)
      open.end()
    }
  }
  return {
    watch(person, end) {
      const open = { person, end }
      all.add(open)
      return () => void all.delete(open)
    },
    endCredential: (id) => endWhere(({ credentialId }) => credentialId === id),
    endUser: (user, but) =>
      endWhere((person) => person.user === user && person.credentialId !== but),
    credentials: (via) =>
      new Set([...all].flatMap(({ person }) => (person.via === via ? [person.credentialId] : []))),
    endExpired: (now) => endWhere(({ expiresAt }) => expiresAt <= now),
  }
}
