/**
 * Whether pictures are ready when a step wants them: MobileNetV2 at 96 px is trained by the command line on photographs of
 * 640×480 that are made here, with usual augmentation and without, and says which share of the run it waited for data.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import sharp from 'sharp'
import type { BenchResult } from './bench.ts'

const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))
const classes = 4

const augmentations = {
  none: [],
  usual: ['flip=0.5', 'crop=0.2', 'scale=[0.8,1.2]', 'brightness=0.3', 'hue=0.05'],
  everything: [
    ...['flip=0.5', 'crop=0.2', 'scale=[0.8,1.2]', 'brightness=0.3', 'hue=0.05'],
    ...['blur=0.2', 'noise=0.2', 'jpeg=0.2', 'cutout=0.2', 'mixup=0.2'],
  ],
} as const

/** What `npm run bench -- batches` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      pictures: { type: 'string', default: '400' },
      epochs: { type: 'string', default: '10' },
    },
  })
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-batches-'))
  try {
    await photographs(join(folder, 'photos'), Number(values.pictures))
    const rows: Record<string, string | number>[] = []
    for (const [name, settings] of Object.entries(augmentations)) {
      options.signal.throwIfAborted()
      const words = [
        ...['train', '--dataset-dir', join(folder, 'photos'), '--format', 'folders', '--json'],
        ...['--model', 'new:mobilenet-v2?size=96', '--set', 'batch=16'],
        ...['--epochs', values.epochs, '--out', join(folder, name)],
        ...settings.flatMap((setting) => ['--set', `augment.${setting}`]),
      ]
      const { stdout } = await promisify(execFile)(process.execPath, [main, ...words], {
        signal: options.signal,
        maxBuffer: 64 * 1024 * 1024,
      })
      const said = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
      rows.push({
        augmentation: name,
        'images/s': Math.round(said.imagesPerSecond),
        'waits for data, %': Math.round(1000 * said.dataWaitShare) / 10,
      })
    }
    return { name: 'batches', rows, json: { pictures: Number(values.pictures), rows } }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** JPEGs that take as long to decode as those of a camera: shapes and a little noise. */
async function photographs(folder: string, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const [width, height] = [160, 120]
    const data = Uint8Array.from({ length: width * height * 3 }, (_, byte) => {
      const wave = Math.sin(byte * 0.003 * (1 + (at % classes)) + at)
      return 120 + 60 * wave + ((byte * 7919 * (at + 3)) % 50)
    })
    const file = join(folder, `class-${at % classes}`, `${at}.jpg`)
    await mkdir(join(folder, `class-${at % classes}`), { recursive: true })
    await sharp(data, { raw: { width, height, channels: 3 } })
      .resize(640, 480)
      .jpeg()
      .toFile(file)
  }
}
