/**
 * Which certificates of devices open nothing any more, as a list (RFC 5280 §5) that a broker which is not
 * ours can read. It follows from what is valid: a serial that was and no longer is goes onto the list. So no
 * way by which a certificate is replaced can forget to say so, and neither can a crash.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { Authority } from './authority.ts'
import { writeDurably } from './durable-file.ts'

/** A certificate is off the list when it has surely expired by itself; none is issued for longer. */
const keptMs = 1100 * 86_400_000

export type Revocations = {
  /**
   * Compares what is valid now with what was; writes the list where that has changed.
   * @param serials of every device's valid certificates, lower-case hex
   * @returns true where something was revoked
   */
  settle(serials: Iterable<string>): Promise<boolean>
  /** Writes the list as it is known to where the broker reads it. */
  publish(): Promise<void>
}

export type Revoked = { readonly serial: string; readonly at: Date }

/**
 * @param folder where the list (`devices.crl`) and what was valid (`valid-serials`) are kept
 * @param deps.copyTo another file for the list, where the broker reads it; empty for none
 */
export function openRevocations(deps: {
  folder: string
  copyTo: string
  authority: Pick<Authority, 'signRevocations'>
  clock: () => number
}): Revocations {
  const { folder, copyTo, authority, clock } = deps
  const listFile = join(folder, 'devices.crl')
  const validFile = join(folder, 'valid-serials')
  let valid: ReadonlySet<string> | undefined
  let settling: Promise<unknown> = Promise.resolve()

  async function settle(serials: ReadonlySet<string>): Promise<boolean> {
    const first = valid === undefined
    valid ??= new Set((await readText(validFile))?.split('\n').filter((line) => line !== ''))
    const gone = [...valid].filter((serial) => !serials.has(serial))
    const fresh = [...serials].some((serial) => !valid?.has(serial))
    if (gone.length > 0 || first) await writeList(gone)
    // After the list: a crash in between finds them gone once more.
    if (gone.length > 0 || fresh) {
      await writeDurably(validFile, `${[...serials].join('\n')}\n`, 0o600)
      valid = serials
    }
    return gone.length > 0
  }

  async function writeList(gone: readonly string[]): Promise<void> {
    const now = clock()
    // A replica of this hub may have written to the broker what we have not revoked ourselves.
    const known = [...(await readList(listFile)), ...(copyTo === '' ? [] : await readList(copyTo))]
    const entries = [...new Map(known.map((entry) => [entry.serial, entry])).values()].filter(
      ({ at }) => at.getTime() > now - keptMs,
    )
    const listed = new Set(entries.map(({ serial }) => serial))
    const added = gone
      .filter((serial) => !listed.has(serial))
      .map((serial) => ({ serial, at: new Date(now) }))
    const list = await authority.signRevocations([...entries, ...added])
    await writeDurably(listFile, list, 0o644)
    if (copyTo !== '') await writeDurably(copyTo, list, 0o644)
  }

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = settling.then(task)
    settling = done.catch(() => {})
    return done
  }

  return {
    settle: (serials) => {
      const now = new Set(serials)
      return inTurn(() => settle(now))
    },
    publish: () => inTurn(() => writeList([])),
  }
}

async function readList(file: string): Promise<Revoked[]> {
  const text = await readText(file)
  if (text === undefined) return []
  return new x509.X509Crl(text).entries.map(({ serialNumber, revocationDate }) => ({
    serial: serialNumber.toLowerCase(),
    at: revocationDate,
  }))
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
