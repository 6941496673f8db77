/**
 * What redaction costs a box: pictures of a camera are made block by block in turns as they are and through a redactor, with a
 * real detector that looks at each, and CPU and time of a picture are counted. Events and live pictures decide how many there
 * are; the table gives what one picture a second would take of a core.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { demoClip } from '../../edge-agent/src/demo/clip.ts'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { openInference } from '../../edge-agent/src/media/inference.ts'
import type { ModelSource } from '../../edge-agent/src/models/model.ts'
import { Redactor, redactionOf } from '../../edge-agent/src/privacy/redactor.ts'
import type { BenchResult } from './bench.ts'

const blockPictures = 10
const warmBlocks = 2
/** A snapshot, and a live picture of a wall of many. */
const widths = [1280, 320] as const

type Cost = { cpuMs: number; ms: number; pictures: number; hidden: number }
const nothing = (): Cost => ({ cpuMs: 0, ms: 0, pictures: 0, hidden: 0 })

/** What `npm run bench -- redaction` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      pictures: { type: 'string', default: '100' },
      camera: { type: 'string' },
      model: { type: 'string' },
      layout: { type: 'string' },
      labels: { type: 'string' },
      hide: { type: 'string', multiple: true, default: ['bolt'] },
    },
  })
  const { signal } = options
  const blocks = Math.ceil(Number(values.pictures) / blockPictures)
  const { model: file, layout, labels } = values
  const model: ModelSource =
    file === undefined
      ? demoModel
      : { name: 'looks', file, ...(layout && { layout }), ...(labels && { labels }) }
  const inference = openInference((error) => {
    throw error
  })
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-redaction-'))
  try {
    using redactor = await Redactor.open(
      {
        labels: values.hide,
        model: undefined,
        scoreMin: 0.2,
        margin: 0.15,
        method: 'pixelate',
      },
      {
        model: model.name,
        masks: 0,
        monotonicMs: () => performance.now(),
        openLane: (_, detect) => inference.openLane(model, detect),
        warn: (text) => console.error(text),
      },
    )
    const costs = widths.map(() => ({ plain: nothing(), redacted: nothing() }))
    {
      const source = values.camera ?? (await demoClip({ seed: 7, folder, signal }))
      await using camera = await openCamera({
        source,
        analysisFps: 5,
        pace: 'unpaced',
        loop: true,
        masks: [],
        jpegWidthMax: 1280,
        openTimeoutMs: 15_000,
        stallTimeoutMs: 15_000,
        decoder: 'auto',
        signal,
        inputFor: (width, height) => ({
          width: 64,
          height: 36,
          channels: 'rgb',
          pad: 0,
          content: { left: 0, top: 0, width: Math.min(64, width), height: Math.min(36, height) },
        }),
      })
      let count = 0
      for await (using frame of camera.frames()) {
        const block = Math.floor(count++ / blockPictures)
        if (block >= warmBlocks + 2 * blocks) break
        for (const [at, widthMax] of widths.entries()) {
          const isRedacted = block % 2 === 1
          const begun = performance.now()
          const before = process.cpuUsage()
          const jpeg = isRedacted
            ? await redactor.jpeg(frame, { widthMax, quality: 80 })
            : await frame.jpeg({ widthMax, quality: 80 })
          const { user, system } = process.cpuUsage(before)
          if (block < warmBlocks) continue
          const cost = costs[at]![isRedacted ? 'redacted' : 'plain']
          cost.cpuMs += (user + system) / 1000
          cost.ms += performance.now() - begun
          cost.pictures++
          cost.hidden += redactionOf(jpeg, 0).regions.length
        }
      }
    }
    const each = costs.map(({ plain, redacted }, at) => ({
      width: widths[at]!,
      plain: meanOf(plain),
      redacted: meanOf(redacted),
    }))
    return {
      name: 'redaction',
      rows: each.map(({ width, plain, redacted }) => ({
        'picture, at most': `${width} wide`,
        'CPU as it is': `${plain.cpuMs.toFixed(1)} ms`,
        'CPU redacted': `${redacted.cpuMs.toFixed(1)} ms`,
        'ready after': `${plain.ms.toFixed(1)} → ${redacted.ms.toFixed(1)} ms`,
        'one a second': `${((redacted.cpuMs - plain.cpuMs) / 10).toFixed(1)} % of a core`,
        hidden: `${redacted.hidden.toFixed(1)} a picture`,
      })),
      json: { model: model.file, hide: values.hide, pictures: blocks * blockPictures, each },
    }
  } finally {
    await inference[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
}

const meanOf = ({ cpuMs, ms, pictures, hidden }: Cost) => ({
  cpuMs: cpuMs / pictures,
  ms: ms / pictures,
  hidden: hidden / pictures,
})
