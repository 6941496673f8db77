/**
 * Passwords as they are kept: scrypt with its parameters and a salt beside the hash, so that stronger
 * parameters can come later. Checking costs the same whether or not there is such a user.
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { passwordCharactersMax, passwordCharactersMin, Refusal } from '@edgeloop/protocol'

/** Cost of one hash: 32 MiB and some 0.1 s (RFC 7914; the OWASP cheat sheet names these as equal to N = 2^17, p = 1). */
export const scryptCost = { log2N: 15, r: 8, p: 3 } as const
const saltBytes = 16
const hashBytes = 32
/** Hashes that wait for their turn; one runs at a time, so that sign-ins cannot eat the memory. */
const waitingMax = 32

/** Parameters of scrypt, N as its logarithm. */
export type PasswordCost = { readonly log2N: number; readonly r: number; readonly p: number }

export type Passwords = {
  /** What is kept of a new password. */
  hash(password: string): Promise<string>
  /**
   * True where `password` is the one that was kept. Without `kept` the same work is done for nothing.
   * @throws {Refusal} unavailable when too many are waiting
   */
  verify(password: string, kept: string | null | undefined): Promise<boolean>
}

/** @param cost of what is hashed from now on; what was kept says its own */
export function openPasswords(cost: PasswordCost = scryptCost): Passwords {
  let tail: Promise<unknown> = Promise.resolve()
  let waiting = 0

  const inTurn = async <R>(work: () => Promise<R>): Promise<R> => {
    if (waiting >= waitingMax) {
      throw new Refusal('unavailable', 'Cannot check passwords: too many wait. Try again', {
        retryAfterS: 5,
      })
    }
    waiting++
    const mine = tail.then(work)
    tail = mine.catch(() => undefined)
    try {
      return await mine
    } finally {
      waiting--
    }
  }

  // Nobody's password, and no input leads to it: what unknown users are compared with.
  const nobody = { cost, salt: randomBytes(saltBytes), hash: randomBytes(hashBytes) }

  return {
    hash: (password) =>
      inTurn(async () => {
        const salt = randomBytes(saltBytes)
        const hash = await derive(password, salt, cost)
        const { log2N, r, p } = cost
        return `scrypt$ln=${log2N},r=${r},p=${p}$${salt.toString('base64')}$${hash.toString('base64')}`
      }),
    verify: (password, kept) =>
      inTurn(async () => {
        const known = kept ? read(kept) : nobody
        const hash = await derive(password, known.salt, known.cost)
        return timingSafeEqual(hash, known.hash)
      }),
  }
}

const keptPattern = /^scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([^$]+)\$([^$]+)$/

function read(kept: string): { cost: PasswordCost; salt: Buffer; hash: Buffer } {
  const [, log2N, r, p, salt = '', hash = ''] = keptPattern.exec(kept) ?? []
  if (log2N === undefined) throw new Error('Cannot read a password of the store: it is no scrypt')
  return {
    cost: { log2N: Number(log2N), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
}

function derive(password: string, salt: Buffer, { log2N, r, p }: PasswordCost): Promise<Buffer> {
  // The same text typed on another keyboard may come in other code points (NIST SP 800-63B §3.1.1.2).
  const text = password.slice(0, passwordCharactersMax).normalize('NFKC')
  const options = { N: 2 ** log2N, r, p, maxmem: 256 * 2 ** log2N * r }
  return new Promise((resolve, reject) => {
    scrypt(text, salt, hashBytes, options, (error, key) => (error ? reject(error) : resolve(key)))
  })
}

/** @throws {Refusal} badRequest for a password that is too short once typed differences are gone, or the name itself */
export function checkNewPassword(password: string, user: string): void {
  const characters = [...password.normalize('NFKC')].length
  if (characters < passwordCharactersMin) {
    throw new Refusal(
      'badRequest',
      `Cannot take this password: it has ${characters} characters, at least ${passwordCharactersMin} are needed`,
    )
  }
  if (password.toLowerCase().includes(user)) {
    throw new Refusal('badRequest', 'Cannot take this password: it contains the user name')
  }
}
