/** Pictures of the demo's belt in which each part that can be seen well wears a colour that nothing else has. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Box } from '@edgeloop/protocol'
import sharp from 'sharp'
import { demoLabels } from '../../edge-agent/src/demo/parts.ts'
import { createScene, sceneHeight, sceneWidth } from '../../edge-agent/src/demo/scene.ts'

/** Magenta: nothing on the belt has red and blue without green. */
const mark = [255, 0, 255] as const
/** Share of a part's sides that the mark takes: what is left is still recognized. */
const markShare = 0.3
const seenShareMin = 0.95

export type MarkedScene = {
  readonly folder: string
  /** All that the detector of the demo knows: with its mark a part may be taken for another. */
  readonly labels: readonly string[]
  /** Boxes of the parts that wear the mark, by picture. */
  readonly parts: readonly (readonly Box[])[]
}

/**
 * Writes pictures into a folder that goes with the test.
 * @param options.each how often each of them comes: long enough for its parts to be believed
 */
export async function markScene(
  t: Pick<TestContext, 'after'>,
  { count = 3, width = sceneWidth, seed = 5, each = 1 } = {},
): Promise<MarkedScene> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-marked-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const scene = createScene({ seed, seconds: 48 })
  const rgb = Buffer.alloc(sceneWidth * sceneHeight * 3)
  const parts: Box[][] = []
  for (let frame = 30; parts.length < count && frame < scene.frameCount; frame += 45) {
    const truth = scene.truth(frame)
    const seen = truth.filter(({ visibleShare }) => visibleShare >= seenShareMin)
    if (seen.length === 0) continue
    scene.render(frame, rgb)
    for (const { box } of seen) paint(rgb, box)
    const raw = { width: sceneWidth, height: sceneHeight, channels: 3 } as const
    const png = await sharp(rgb, { raw }).resize(width).png().toBuffer()
    for (let copy = 0; copy < each; copy++) {
      const number = String(parts.length * each + copy).padStart(4, '0')
      await writeFile(join(folder, `${number}.png`), png)
    }
    parts.push(seen.map(({ box }) => box))
  }
  return { folder, labels: demoLabels, parts }
}

function paint(rgb: Buffer, [x, y, w, h]: Box): void {
  const part = (from: number, size: number, of: number) => ({
    from: Math.round((from + (size * (1 - markShare)) / 2) * of),
    to: Math.round((from + (size * (1 + markShare)) / 2) * of),
  })
  const [across, down] = [part(x, w, sceneWidth), part(y, h, sceneHeight)]
  for (let row = down.from; row < down.to; row++) {
    for (let at = across.from; at < across.to; at++) rgb.set(mark, (row * sceneWidth + at) * 3)
  }
}

/** Pixels of a picture that may have been marked: red and blue well above green, as no part of the belt is. */
export async function markedPixels(picture: Uint8Array | string): Promise<number> {
  const { data, info } = await sharp(picture)
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  let marked = 0
  for (let at = 0; at < data.length; at += info.channels) {
    const [red, green, blue] = [data[at]!, data[at + 1]!, data[at + 2]!]
    if (Math.min(red, blue) - green > 60) marked++
  }
  return marked
}
