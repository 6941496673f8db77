/**
 * CIFAR-10 as it lies in the material (one picture a row of a sprite) as folders of PNG, one for each label:
 *
 *     node test/training/cifar10-folders.ts ../shared/material/datasets/cifar10 out/cifar10
 */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'

const labels = [
  ...['airplane', 'automobile', 'bird', 'cat', 'deer'],
  ...['dog', 'frog', 'horse', 'ship', 'truck'],
]
const side = 32
const sprites = 5

/** @returns how many pictures were written */
export async function writeCifar10Folders(from: string, to: string): Promise<number> {
  const text = await readFile(join(from, 'cifar10_labels.js'), 'utf8')
  const truths = JSON.parse(/\[[\d,\s]*\]/.exec(text)![0]) as number[]
  for (const label of labels) await mkdir(join(to, label), { recursive: true })
  let written = 0
  for (let sprite = 0; sprite < sprites; sprite += 1) {
    const { data, info } = await sharp(join(from, `cifar10_batch_${sprite}.png`))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    const bytes = side * side * 3
    for (let row = 0; row < info.height; row += 1) {
      const raw = { width: side, height: side, channels: 3 } as const
      const name = `${String(written).padStart(5, '0')}.png`
      await sharp(data.subarray(row * bytes, (row + 1) * bytes), { raw })
        .png()
        .toFile(join(to, labels[truths[written]!]!, name))
      written += 1
    }
  }
  return written
}

if (import.meta.main) {
  const [from, to] = process.argv.slice(2)
  if (from === undefined || to === undefined) throw new Error('Give two folders: from and to')
  console.log(`${await writeCifar10Folders(from, to)} pictures in ${to}`)
}
