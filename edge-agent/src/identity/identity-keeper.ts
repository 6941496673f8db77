/**
 * Which identity the box shows the hub. A renewed one is tried first; when the hub has let it in it takes the
 * place of the one before, and when the hub refuses it, it is dropped. Whatever else goes wrong, both are
 * kept and tried in turn: one of them opens the hub.
 */
import {
  draftIdentity,
  dropDraft,
  dropNextIdentity,
  type Identity,
  readNextIdentity,
  settleIdentity,
  stageIdentity,
} from './identity.ts'
import { type IdentityDisk, localDisk } from './identity-disk.ts'

export class IdentityKeeper {
  readonly #dataDir: string
  readonly #disk: IdentityDisk
  #current: Identity
  #next: Identity | undefined
  /** The next attempt shows the next identity. */
  #tryNext = true

  private constructor(dataDir: string, current: Identity, disk: IdentityDisk) {
    this.#dataDir = dataDir
    this.#current = current
    this.#disk = disk
  }

  /**
   * Ends what a power cut has halved, and looks whether a renewed identity waits.
   * @param current as `readIdentity` gave it; its addresses hold for the renewed one too
   */
  static async open(
    dataDir: string,
    current: Identity,
    disk: IdentityDisk = localDisk,
  ): Promise<IdentityKeeper> {
    const keeper = new IdentityKeeper(dataDir, current, disk)
    const next = await readNextIdentity(dataDir).catch(async () => {
      await dropNextIdentity(dataDir, disk)
      return undefined
    })
    if (next) keeper.#next = { ...current, key: next.key, certificate: next.certificate }
    else await settleIdentity(dataDir, disk)
    return keeper
  }

  /** The identity that the hub has let in before. */
  get current(): Identity {
    return this.#current
  }

  /** True while a renewed identity waits to be used for the first time. */
  get renewed(): boolean {
    return this.#next !== undefined
  }

  /** The identity to connect with now. */
  attempt(): Identity {
    return this.#tryNext ? (this.#next ?? this.#current) : this.#current
  }

  /** Keeps a certificate for `key` beside the one in use. */
  async stage(key: string, certificate: string): Promise<void> {
    const next = { ...this.#current, key, certificate }
    try {
      await draftIdentity(this.#dataDir, key, this.#disk)
      await stageIdentity(this.#dataDir, next, this.#disk)
    } catch (error) {
      await dropDraft(this.#dataDir, this.#disk).catch(() => {}) // why it failed is what counts
      throw error
    }
    this.#next = next
    this.#tryNext = true
  }

  /** The hub has let this identity in. True where it is another than before. */
  async letIn(identity: Identity): Promise<boolean> {
    if (identity !== this.#next) return false
    this.#current = identity
    this.#next = undefined
    // Where it fails both stay on the disk, and the next start shows the newer one first.
    await settleIdentity(this.#dataDir, this.#disk).catch(() => {})
    return true
  }

  /** The hub could not be reached with this identity, or refused it. */
  async failed(identity: Identity, refused: boolean): Promise<void> {
    this.#tryNext = identity !== this.#next
    if (this.#tryNext || !refused) return
    this.#next = undefined
    await dropNextIdentity(this.#dataDir, this.#disk)
  }
}
