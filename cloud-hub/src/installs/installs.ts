/**
 * Agents for new boxes: one archive per platform, made when the first box asks, served to whoever holds an
 * enrolment token. How an agent is made is the business of who starts the hub; this room gives it out.
 */
import type { Platform } from '@edgeloop/protocol'

/** An agent for one platform, as a file. */
export type AgentBundle = {
  readonly platform: Platform
  /** Absolute path of a tar.gz, which stays as it is. */
  readonly file: string
  readonly sizeBytes: number
  /** SHA-256 of the file, hex. */
  readonly digest: string
}

/** Where agents come from. */
export type AgentBundles = {
  /** The installer, a POSIX shell script. */
  readonly installScript: string
  /**
   * The newest agent for a platform; makes it where it is not there yet, which takes seconds to minutes.
   * Callers who come meanwhile wait for the same one.
   * @throws {Error} when it cannot be made, with the reason
   */
  open(platform: Platform, signal: AbortSignal): Promise<AgentBundle>
}

/**
 * The line that installs an agent: it trusts this hub's key and no other, and keeps the token out of every
 * address and argument.
 * @param hub.serverFingerprint SHA-256 of the public key of the device listeners, base64
 * @param hub.fingerprint SHA-256 of the authority's public key, base64
 */
export function installCommand(
  hub: { deviceUrl: string; serverFingerprint: string; fingerprint: string },
  token: string,
): string {
  const { deviceUrl, serverFingerprint: pin, fingerprint } = hub
  return [
    `curl -fsSk --tlsv1.3 --pinnedpubkey 'sha256//${pin}' ${deviceUrl}/install.sh |`,
    `EDGELOOP_ENROLMENT_TOKEN='${token}' sh -s --`,
    `--hub ${deviceUrl} --pin '${pin}' --ca '${fingerprint}'`,
  ].join(' ')
}
