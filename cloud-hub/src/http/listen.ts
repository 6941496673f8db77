/** Opens a listener, and says in words why it could not be opened. */
import type { AddressInfo, Server } from 'node:net'

/**
 * Waits until `server` listens.
 * @param flag how a person changes the port, such as `--port`
 * @returns the port, which was chosen by the system where 0 was asked for
 * @throws {Error} naming the port and the flag
 */
export async function listen(
  server: Pick<Server, 'listen' | 'once' | 'off' | 'address'>,
  { host, port, flag }: { host: string; port: number; flag: string },
): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((cause: NodeJS.ErrnoException) => {
    throw listenError(cause, { host, port, flag })
  })
  return (server.address() as AddressInfo).port
}

/** Why a listener could not be opened, with a way out. */
export function listenError(
  cause: NodeJS.ErrnoException,
  { host, port, flag }: { host: string; port: number; flag: string },
): Error {
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} is in use. Stop what uses it, or choose another with ${flag}`,
    EACCES: `port ${port} needs more rights. Choose one above 1023 with ${flag}`,
    EADDRNOTAVAIL: `this machine has no address "${host}"`,
    ENOTFOUND: `the name "${host}" has no address`,
  }
  const reason = why[cause.code ?? ''] ?? cause.message
  return new Error(`Cannot listen on ${host}:${port}: ${reason}`, { cause })
}

/** A host as it stands in a URL. */
export const hostInUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host)
