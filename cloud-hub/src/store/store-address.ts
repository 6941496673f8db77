/**
 * Where a store is, as people write it: nothing for the file in the data folder, a path or `sqlite:PATH` for
 * another file, `postgres://…` for a PostgreSQL database.
 */
import { resolve } from 'node:path'
import { nearestName } from '@edgeloop/protocol'

export type SqliteAddress = {
  readonly kind: 'sqlite'
  readonly file: string
  readonly shown: string
}
export type PostgresAddress = {
  readonly kind: 'postgres'
  readonly url: string
  readonly shown: string
}
export type StoreAddress = SqliteAddress | PostgresAddress

/** What may stand behind the `?` of a PostgreSQL address; the names are libpq's. */
const parameters = ['host', 'port', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey']
/** Encrypted without a look at the certificate is open to whoever sits between, so each of these verifies. */
const verified = ['require', 'verify-ca', 'verify-full']

/**
 * Reads an address. `shown` is the address without its password.
 * @param standardFile the file that is meant where nothing is said
 * @throws {Error} for another scheme, or a parameter that is unknown
 */
export function parseStoreAddress(text: string, standardFile: string): StoreAddress {
  if (/^postgres(ql)?:\/\//.test(text)) return postgresAddress(text)
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]
  if (scheme !== undefined && scheme !== 'sqlite') {
    throw new Error(
      `Cannot open a store at "${hidePassword(text)}": "${scheme}:" is no kind of store. Use postgres://USER:PASSWORD@HOST/DATABASE or the path of a file`,
    )
  }
  const path = text.replace(/^sqlite:(\/\/)?/, '')
  const file = path === '' ? standardFile : resolve(path)
  return { kind: 'sqlite', file, shown: file }
}

function postgresAddress(text: string): StoreAddress {
  const shown = hidePassword(text)
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new Error(
      `Cannot read the store's address "${shown}": write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password as %XX`,
    )
  }
  for (const name of url.searchParams.keys()) {
    if (parameters.includes(name)) continue
    const near = nearestName(name, parameters)
    const hint =
      near === undefined ? `known are ${parameters.join(', ')}` : `did you mean "${near}"?`
    throw new Error(`Cannot use "${name}" in the store's address "${shown}": ${hint}`)
  }
  const mode = url.searchParams.get('sslmode')
  if (mode !== null && mode !== 'disable') {
    if (!verified.includes(mode)) {
      throw new Error(
        `Cannot use sslmode "${mode}" in the store's address "${shown}": use verify-full, or disable`,
      )
    }
    url.searchParams.set('sslmode', 'verify-full')
  }
  return { kind: 'postgres', url: url.href, shown }
}

/** The same text without what stands between `:` and `@` of its authority. */
function hidePassword(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/[^:/@]*):.*@/i, '$1:***@')
}
