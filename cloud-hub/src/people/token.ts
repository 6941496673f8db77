/** Secrets the hub hands out: random, and kept only as hashes, so that a stolen store opens nothing. */
import { createHash, randomBytes } from 'node:crypto'

/** A new secret of 256 bits, safe in an address and in a header. */
export const newToken = (): string => randomBytes(32).toString('base64url')

/**
 * A new name of something that has a secret beside it; not secret itself. It never begins with a dash: a command line
 * would take it for an option.
 */
export const newId = (): string => randomBytes(9).toString('base64url').replace(/^-/, '0')

/** What is kept of a token: SHA-256 in hex. Enough for random 256-bit secrets; passwords need scrypt. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex')
