/**
 * The latest-frame slot: how pixels get from the thread that decodes to the thread that infers. One
 * writer and one reader share three canvases; the writer always has one to fill, the reader always
 * has one to read, and the newest complete one waits between them. Nobody ever waits or copies.
 */
import type { InputView } from '../cameras/camera.ts'

const canvases = 3
const fresh = 4
const indexMask = 3

/** Numbers that travel with a canvas, in this order. */
const noteFields = 9
const noteBytes = noteFields * Float64Array.BYTES_PER_ELEMENT
/** The control word, padded so that the notes behind it are aligned. */
const controlBytes = 8
/** Canvases start on cache-line boundaries, so that the two threads never share a line. */
const lineBytes = 64
const aligned = (bytes: number): number => Math.ceil(bytes / lineBytes) * lineBytes
const notesEnd = aligned(controlBytes + canvases * noteBytes)

/** A canvas taken out of the slot; valid until the next `take()`. */
export type SlotFrame = {
  readonly sequence: number
  readonly view: InputView
  readonly canvas: Uint8Array
}

/** Memory for one slot, to be shared with the reading thread. */
export function slotMemory(canvasBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(notesEnd + canvases * aligned(canvasBytes))
}

type Parts = {
  readonly control: Int32Array
  readonly notes: readonly Float64Array[]
  readonly pixels: readonly Uint8Array[]
}

function partsOf(memory: SharedArrayBuffer, canvasBytes: number): Parts {
  const indexes = Array.from({ length: canvases }, (_, i) => i)
  return {
    control: new Int32Array(memory, 0, 1),
    notes: indexes.map((i) => new Float64Array(memory, controlBytes + i * noteBytes, noteFields)),
    pixels: indexes.map(
      (i) => new Uint8Array(memory, notesEnd + i * aligned(canvasBytes), canvasBytes),
    ),
  }
}

/** The deciding end. Exactly one thread may write a slot. */
export class SlotWriter {
  readonly #parts: Parts
  #back = 0

  constructor(memory: SharedArrayBuffer, canvasBytes: number) {
    this.#parts = partsOf(memory, canvasBytes)
    // Canvas 0 is the writer's, 1 waits between them (not fresh), 2 is the reader's.
    Atomics.store(this.#parts.control, 0, 1)
  }

  /** The canvas to fill for the next `publish()`. */
  get canvas(): Uint8Array {
    return this.#parts.pixels[this.#back]!
  }

  /**
   * Puts the filled canvas into the slot.
   * @returns true where it replaced one that the reader had not taken
   */
  publish(sequence: number, view: InputView): boolean {
    const { content } = view
    const note = this.#parts.notes[this.#back]!
    note[0] = sequence
    note[1] = view.width
    note[2] = view.height
    note[3] = view.channels === 'rgb' ? 0 : 1
    note[4] = content.left
    note[5] = content.top
    note[6] = content.width
    note[7] = content.height
    note[8] = view.pad
    const before = Atomics.exchange(this.#parts.control, 0, this.#back | fresh)
    this.#back = before & indexMask
    return (before & fresh) !== 0
  }
}

/** The inferring end. Exactly one thread may read a slot. */
export class SlotReader {
  readonly #parts: Parts
  #front = 2

  constructor(memory: SharedArrayBuffer, canvasBytes: number) {
    this.#parts = partsOf(memory, canvasBytes)
  }

  /** The newest canvas that has not been taken, or undefined. */
  take(): SlotFrame | undefined {
    const { control, notes, pixels } = this.#parts
    if ((Atomics.load(control, 0) & fresh) === 0) return undefined
    this.#front = Atomics.exchange(control, 0, this.#front) & indexMask
    const note = notes[this.#front]!
    return {
      sequence: note[0]!,
      canvas: pixels[this.#front]!,
      view: {
        width: note[1]!,
        height: note[2]!,
        channels: note[3] === 0 ? 'rgb' : 'bgr',
        content: { left: note[4]!, top: note[5]!, width: note[6]!, height: note[7]! },
        pad: note[8]!,
      },
    }
  }
}
