/** Small grey pictures that are striped one way or the other, as idx: what a classifier learns within seconds. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'

/** Writes `count` pictures of 12×12: class 0 is striped from side to side, class 1 from top to bottom, with noise. */
export async function writeStripes(folder: string, count: number, seed: number): Promise<void> {
  const side = 12
  const random = sequence(seed)
  const pixels = Buffer.alloc(count * side * side)
  const labels = Buffer.alloc(count)
  for (let picture = 0; picture < count; picture++) {
    const label = picture % 2
    labels[picture] = label
    const phase = Math.floor(random() * 4)
    for (let at = 0; at < side * side; at++) {
      const along = label === 0 ? Math.floor(at / side) : at % side
      const bright = (along + phase) % 4 < 2 ? 180 : 60
      pixels[picture * side * side + at] = Math.round(bright + (random() - 0.5) * 100)
    }
  }
  const head = (...sizes: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length)
    bytes.set([0, 0, 8, sizes.length])
    for (const [at, size] of sizes.entries()) bytes.writeUInt32BE(size, 4 + 4 * at)
    return bytes
  }
  const pictures = Buffer.concat([head(count, side, side), pixels])
  await writeFile(join(folder, 'train-images-idx3-ubyte'), pictures)
  await writeFile(join(folder, 'train-labels-idx1-ubyte'), Buffer.concat([head(count), labels]))
}
