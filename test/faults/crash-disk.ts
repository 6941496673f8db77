/**
 * A disk in memory on which the power can fail after any step. What was not synced by then is lost, there, or torn, by
 * chance; so is a name that was given or taken since its folder was last synced. Worse than any file system we know,
 * and never kinder: what survives here survives on a real one.
 */
import type { UpdateDisk } from '../../edge-agent/src/update/update-disk.ts'

/** The power is gone: nothing that runs on this disk goes on. */
export class PowerCut extends Error {
  constructor() {
    super('the power has failed')
  }
}

type File = {
  bytes: Uint8Array
  /** What is on the disk for certain. */
  synced: Uint8Array
}

export class CrashDisk implements UpdateDisk {
  /** Names as programs see them, and as they are on the disk for certain. */
  #names = new Map<string, File>()
  #syncedNames = new Map<string, File>()
  #folders = new Set<string>([''])
  /** Steps that change something, since the disk was made or copied. */
  steps = 0
  writes = 0
  /** The power fails in this step. */
  cutAt = Number.POSITIVE_INFINITY
  /** From this write on there is no room, for so many writes. */
  fullAt = Number.POSITIVE_INFINITY
  fullFor = 0
  readonly #random: () => number
  isCut = false

  constructor(random: () => number) {
    this.#random = random
  }

  at = (path: string): string => path

  /** The same, with steps counted anew. */
  copy(random: () => number): CrashDisk {
    const disk = new CrashDisk(random)
    disk.#folders = new Set(this.#folders)
    const copies = new Map<File, File>()
    const copyOf = (file: File) => {
      const known = copies.get(file) ?? { ...file }
      copies.set(file, known)
      return known
    }
    for (const [name, file] of this.#names) disk.#names.set(name, copyOf(file))
    for (const [name, file] of this.#syncedNames) disk.#syncedNames.set(name, copyOf(file))
    return disk
  }

  /** Another disk with what would be found on this one after the power has failed now. */
  afterCut(random: () => number): CrashDisk {
    const disk = new CrashDisk(random)
    disk.#folders = new Set(this.#folders)
    const left = new Map<File, File>()
    for (const name of new Set([...this.#names.keys(), ...this.#syncedNames.keys()])) {
      const [now, before] = [this.#names.get(name), this.#syncedNames.get(name)]
      const file = random() < 0.5 ? now : before
      if (!file) continue
      let other = left.get(file)
      if (!other) {
        const bytes = torn(file, random)
        other = { bytes, synced: bytes }
        left.set(file, other)
      }
      disk.#names.set(name, other)
    }
    disk.#syncedNames = new Map(disk.#names)
    return disk
  }

  /** Every file that is there. */
  get files(): readonly string[] {
    return [...this.#names.keys()].sort()
  }

  /** What time does to a disk: bytes of a file are others than were written. Undefined: the file is gone. */
  damage(path: string, how: (bytes: Uint8Array) => Uint8Array | undefined): void {
    const file = this.#names.get(path)
    if (!file) throw absent(path)
    const bytes = how(Uint8Array.from(file.bytes))
    if (!bytes) {
      this.#names.delete(path)
      this.#syncedNames.delete(path)
    } else Object.assign(file, { bytes, synced: bytes })
  }

  async read(path: string) {
    this.#live()
    // Bytes are never changed in place.
    return this.#names.get(path)?.bytes
  }
  async readPart(path: string, from: number, lengthBytes: number) {
    this.#live()
    return this.#names.get(path)?.bytes.slice(from, from + lengthBytes)
  }
  async size(path: string) {
    this.#live()
    return this.#names.get(path)?.bytes.length
  }
  async list(path: string) {
    this.#live()
    const inside = (name: string) => name.startsWith(`${path}/`)
    const names = [...this.#names.keys(), ...this.#folders].filter(inside)
    const firsts = names.map((name) => name.slice(path.length + 1).split('/')[0] as string)
    return [...new Set(firsts)].sort()
  }
  async freeBytes() {
    return 1e12
  }

  async write(path: string, bytes: Uint8Array, from = 0) {
    await this.#step(() => {
      const isFull = this.writes >= this.fullAt && this.writes < this.fullAt + this.fullFor
      this.writes++
      const before = this.#names.get(path)
      if (!before && !this.#folders.has(folderOf(path))) throw absent(path)
      if (from > 0 && !before) throw absent(path)
      const kept = before ? before.bytes.subarray(0, from) : new Uint8Array()
      const some = isFull ? bytes.subarray(0, bytes.length >> 1) : bytes
      const after = Uint8Array.from(Buffer.concat([kept, some]))
      if (before) before.bytes = after
      else this.#names.set(path, { bytes: after, synced: new Uint8Array() })
      if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    })
  }
  async sync(path: string) {
    await this.#step(() => {
      const file = this.#names.get(path)
      if (!file) throw absent(path)
      file.synced = file.bytes
    })
  }
  async rename(from: string, to: string) {
    await this.#step(() => {
      const file = this.#names.get(from)
      if (!file) throw absent(from)
      this.#names.set(to, file)
      this.#names.delete(from)
    })
  }
  async remove(path: string) {
    await this.#step(() => {
      if (this.#names.delete(path) || !this.#folders.has(path)) return
      if ([...this.#names.keys()].some((name) => name.startsWith(`${path}/`))) {
        throw new Error(`folder "${path}" is not empty`)
      }
      for (const name of this.#syncedNames.keys()) {
        if (name.startsWith(`${path}/`)) this.#syncedNames.delete(name)
      }
      this.#folders.delete(path)
    })
  }
  async makeFolder(path: string) {
    if (this.#folders.has(path)) return this.#live()
    await this.#step(() => {
      const parts = path.split('/')
      for (let depth = 1; depth <= parts.length; depth++) {
        this.#folders.add(parts.slice(0, depth).join('/'))
      }
    })
  }
  async syncFolder(path: string) {
    await this.#step(() => {
      for (const name of new Set([...this.#names.keys(), ...this.#syncedNames.keys()])) {
        if (folderOf(name) !== path) continue
        const file = this.#names.get(name)
        if (file) this.#syncedNames.set(name, file)
        else this.#syncedNames.delete(name)
      }
    })
  }

  #live(): void {
    if (this.isCut) throw new PowerCut()
  }

  async #step(act: () => void): Promise<void> {
    this.#live()
    if (++this.steps >= this.cutAt) {
      this.isCut = true
      // It may have been done just before.
      if (this.#random() < 0.5) {
        try {
          act()
        } catch {
          // Nobody hears of it.
        }
      }
      throw new PowerCut()
    }
    act()
  }
}

/** Bytes that were not synced: all there, none, some with rubbish behind, or rubbish all through. */
function torn({ bytes, synced }: File, random: () => number): Uint8Array {
  if (bytes === synced) return bytes
  const chance = random()
  if (chance < 0.3) return synced
  if (chance < 0.5) return bytes
  const length = Math.floor(random() * (bytes.length + 1))
  if (chance < 0.7) return bytes.slice(0, length)
  const mixed = Uint8Array.from(bytes)
  mixed.fill(chance < 0.85 ? 0 : 0xa5, length)
  return mixed
}

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
const absent = (path: string) => Object.assign(new Error(`no "${path}"`), { code: 'ENOENT' })
