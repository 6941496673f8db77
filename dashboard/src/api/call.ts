/** The hub as pages see it: the typed client of the protocol, over the session of this browser. */
import { CallFailed, makeCaller } from '@edgeloop/protocol'

export const { call, callBytes } = makeCaller(async (path, asked) => {
  try {
    return await fetch(path, { ...asked, credentials: 'same-origin' })
  } catch (cause) {
    if (asked.signal?.aborted) throw cause
    const text = 'The hub does not answer: it may be stopped, or the network is down'
    throw new CallFailed('unreachable', 0, text, { cause })
  }
})

/** True where `error` says that a sign-in link or token is not valid (any more). */
export const isRefused = (error: unknown): boolean =>
  error instanceof CallFailed && error.code === 'signInRefused'

/** True where `error` says that somebody must sign in (again). */
export const isSignedOut = (error: unknown): boolean =>
  error instanceof CallFailed && error.code === 'notSignedIn'
