/**
 * The first meeting with a hub: all the box knows of it is the fingerprint of its authority, given by
 * the person who set it up. The hub shows its chain; only the authority with that fingerprint is
 * trusted from then on, and everything else is ordinary TLS.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

/** The hub has to answer within this. */
const handshakeTimeoutMs = 10_000
/** A chain longer than this is not looked at. */
const chainMax = 10

/** SHA-256 of a certificate's public key (SPKI), base64. */
export function fingerprintOf(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64')
}

/**
 * Asks a hub for its chain and gives the authority in it that has the fingerprint, in PEM. Nothing is
 * sent to the hub; that it really holds a certificate of that authority is checked by the connection
 * that trusts the authority, and nothing else.
 * @throws {Error} when the hub cannot be reached or shows another authority
 */
export async function fetchAuthority(
  url: URL,
  fingerprint: string,
  signal: AbortSignal,
): Promise<string> {
  const chain = await fetchChain(url, signal)
  const found = chain.find((certificate) => fingerprintOf(certificate) === fingerprint)
  if (found) return found.toString()
  const shown = chain.map(fingerprintOf).at(-1) ?? 'none'
  throw new Error(
    `Cannot trust the hub at ${url.origin}: its authority has the fingerprint "${shown}", expected "${fingerprint}"; compare it with what the hub's \`device add\` prints`,
  )
}

async function fetchChain(url: URL, signal: AbortSignal): Promise<X509Certificate[]> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(handshakeTimeoutMs)])
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const socket = connect({
    host,
    port: Number(url.port || 443),
    ...(isIP(host) ? {} : { servername: host }),
    // Not trusted here: this connection only carries the chain, which the fingerprint then judges.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  })
  const stop = () => socket.destroy(new Error('no answer in time'))
  deadline.addEventListener('abort', stop, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
    })
    return chainOf(socket)
  } catch (cause) {
    signal.throwIfAborted()
    throw new Error(`Cannot reach the hub at ${url.origin}: ${(cause as Error).message}`, { cause })
  } finally {
    deadline.removeEventListener('abort', stop)
    socket.destroy()
  }
}

/** Leaf first. A self-signed authority is its own issuer, which ends the chain. */
function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let shown = socket.getPeerCertificate(true)
  while (shown?.raw && chain.length < chainMax) {
    chain.push(new X509Certificate(shown.raw))
    if (shown.issuerCertificate === shown) break
    shown = shown.issuerCertificate
  }
  return chain
}
