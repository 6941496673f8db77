/** How long to wait before the next try, so that ten thousand boxes do not come back at once. */

export type Backoff = { readonly firstMs: number; readonly maxMs: number }

/** After a hub restart every box of a site tries again: the first wait is short, the spread is wide. */
export const reconnectBackoff: Backoff = { firstMs: 1000, maxMs: 30_000 }
export const uploadBackoff: Backoff = { firstMs: 1000, maxMs: 60_000 }
/** A third of a certificate's life is left when it is renewed: there is no hurry. */
export const renewalBackoff: Backoff = { firstMs: 60_000, maxMs: 6 * 3_600_000 }

/** No wait is shorter: a hub that refuses at once is not asked in a busy loop. */
const waitMsMin = 100

/**
 * Full jitter: anything up to a bound that doubles with each failure.
 * @param failures failures in a row so far, from 0
 * @param random 0..1
 */
export function waitMs({ firstMs, maxMs }: Backoff, failures: number, random: number): number {
  const bound = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 30))
  return Math.round(waitMsMin + random * (bound - waitMsMin))
}
