/**
 * What a device believes of models: The Update Framework 1.0 (TUF). Four kinds of signed metadata lie in the hub's trust
 * repository. The root names the keys of every role; targets list the manifests that may be used, with length and digest;
 * the snapshot says which targets are the newest; the timestamp says the same of the snapshot and is stale after hours.
 */

/** Where a device keeps what it trusts; the agent backs it with its update folder. */
export type TrustFiles = {
  /** Undefined where there is no such file. */
  read(name: string): Promise<Uint8Array | undefined>
  /** Whole or not at all, and on disk when the promise resolves. */
  write(name: string, bytes: Uint8Array): Promise<void>
}

/** Where metadata comes from: the hub, a folder, a bundle. Nothing that it gives is believed. */
export type TrustSource = {
  /**
   * @param file name in the repository, such as `timestamp.json` or `3.root.json`
   * @param bytesMax the source stops reading above it and throws
   * @returns undefined only where the source says that there is no such file
   */
  fetch(file: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array | undefined>
}

/** What may be used, as signed and not expired when it was asked for. */
export type TrustedTargets = {
  /** The fleet that the root is for; a manifest of another one is not meant for this device. */
  readonly fleet: string
  readonly rootVersion: number
  readonly version: number
  /** When the first of root, timestamp, snapshot and targets expires, milliseconds. */
  readonly expiresAt: number
  /** Length and SHA-256 (hex) of a target file; undefined where nobody has signed it. */
  find(path: string): { readonly lengthBytes: number; readonly digest: string } | undefined
  paths(): readonly string[]
}

/**
 * - `integrity`: a signature, a threshold, a length or a digest is wrong, or it is older than what was trusted before:
 *   somebody on the way may be at work
 * - `trust`: expired, not there, or not to be had in time: later it may be well
 */
export type TrustErrorCode = 'integrity' | 'trust'

/** Metadata that is not believed. What runs goes on running. */
export class TrustError extends Error {
  readonly code: TrustErrorCode

  constructor(code: TrustErrorCode, text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'TrustError'
    this.code = code
  }
}
