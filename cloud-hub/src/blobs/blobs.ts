/**
 * The contract of a place for bytes that are named by their digest: written once, never changed, verified
 * when they come in and when they go out. `test/contracts/blobs.ts` is this contract as a test suite.
 */

export type PutOptions = {
  /** A longer body is refused. */
  readonly bytesMax: number
  /** Ends the reading of the body; what has come in whole is stored all the same. */
  readonly signal?: AbortSignal
}

export interface Blobs {
  /**
   * Stores bytes under their digest (SHA-256, lower-case hex). When it resolves they survive a power cut.
   * Storing what is there already is no error, and repairs it where it was damaged.
   * @throws {Refusal} digestDiffers, or tooLarge; nothing is stored then
   */
  put(digest: string, chunks: AsyncIterable<Uint8Array>, options: PutOptions): Promise<void>
  /** The bytes, or undefined where there are none. @throws {Error} when they have changed on disk */
  read(digest: string): Promise<Uint8Array | undefined>
  /**
   * Lays a blob as a file that is only read: another name for the same bytes where that is possible. False where there
   * is none. @throws {Error} when the file is there already
   */
  lay(digest: string, file: string): Promise<boolean>
  /** How large a blob is; undefined where there is none. */
  sizeOf(digest: string): Promise<number | undefined>
  /**
   * Bytes of a blob from `from` through `through`, both counted, a little at a time. What went in was verified; a
   * part cannot be when it goes out.
   * @throws {Error} from the iteration, when the blob has gone or is shorter
   */
  part(digest: string, from: number, through: number): AsyncIterable<Uint8Array>
  /** Removes a blob. Removing what is not there is no error. */
  remove(digest: string): Promise<void>
  /** Removes what was last stored before `before` (ms); gives how many. Stops early when `signal` aborts. */
  prune(before: number, signal: AbortSignal): Promise<number>
  /** Says how many `prune(before)` would remove, and when (ms) the oldest was stored that would stay. */
  survey(
    before: number,
    signal: AbortSignal,
  ): Promise<{ readonly count: number; readonly oldestKeptAt: number | null }>
}
