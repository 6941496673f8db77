/**
 * Slows down who guesses: after some failures every further one doubles the wait, per address and per
 * account. An attempt counts before it is checked, so that many at once gain nothing.
 */
import { Refusal } from '@edgeloop/protocol'

/** A key's failures are forgotten when this long has passed without one. */
const forgottenMs = 3_600_000
/** Keys remembered at once; the one that failed longest ago gives way. */
const keysMax = 10_000

/**
 * `free`: failures without a wait. `waitMaxMs`: the longest wait. An account waits shorter than an address:
 * a stranger who knows a name must not be able to keep its owner out for long.
 */
const limits = {
  address: { free: 20, waitMaxMs: 15 * 60_000 },
  account: { free: 5, waitMaxMs: 60_000 },
} as const

export type Attempts = {
  /**
   * Counts an attempt as failed until it is said to have succeeded.
   * @throws {Refusal} tooManyRequests with the wait
   */
  begin(address: string, account: string): { succeeded(): void }
}

type Failures = { count: number; lastAt: number; openAt: number }

export function openAttempts({ clock }: { clock: () => number }): Attempts {
  // In order of the last failure: the first is the oldest.
  const failures = new Map<string, Failures>()

  function waitOf(key: string, now: number): number {
    const known = failures.get(key)
    if (!known) return 0
    if (now - known.lastAt > forgottenMs) {
      failures.delete(key)
      return 0
    }
    return Math.max(0, known.openAt - now)
  }

  function count(key: string, kind: keyof typeof limits, now: number): void {
    const before = failures.get(key)?.count ?? 0
    const over = before + 1 - limits[kind].free
    const waitMs = over <= 0 ? 0 : Math.min(limits[kind].waitMaxMs, 1000 * 2 ** (over - 1))
    failures.delete(key)
    failures.set(key, { count: before + 1, lastAt: now, openAt: now + waitMs })
    if (failures.size > keysMax) failures.delete(failures.keys().next().value ?? '')
  }

  return {
    begin(address, account) {
      const now = clock()
      const keys = { address: `address ${address}`, account: `account ${account}` } as const
      const waitMs = Math.max(waitOf(keys.address, now), waitOf(keys.account, now))
      if (waitMs > 0) {
        const retryAfterS = Math.ceil(waitMs / 1000)
        throw new Refusal('tooManyRequests', `Cannot take another try yet: wait ${retryAfterS} s`, {
          retryAfterS,
        })
      }
      count(keys.address, 'address', now)
      count(keys.account, 'account', now)
      return {
        succeeded() {
          failures.delete(keys.account)
          // The other failures of the address stay: one account of one's own must not buy more guesses.
          const known = failures.get(keys.address)
          if (known) known.count = Math.max(0, known.count - 1)
        },
      }
    },
  }
}
