/**
 * Program that runs a candidate on canvases which the active model was given. The active model is opened here too, only to be
 * timed in turns with the candidate: the same process under the same load, so that their ratio says something on a busy
 * box. Nobody waits for this process but whoever compares.
 */
import { memoryUsage } from 'node:process'
import type { InputView } from '../cameras/camera.ts'
import { resampleOnto } from '../cameras/resample.ts'
import type { SeenFrame } from '../media/lane-watch.ts'
import type { Model, ModelSource, Reading } from '../models/model.ts'
import { openModel } from '../models/open-model.ts'
import { chooseRuntime } from '../runtimes/choose.ts'

export type ToShadow =
  | { readonly kind: 'open'; readonly active: ModelSource; readonly candidate: ModelSource }
  | { readonly kind: 'frame'; readonly frame: SeenFrame }

export type FromShadow =
  /** `activeBytes`: what of the resident memory is the active model's. */
  | { readonly kind: 'opened'; readonly activeBytes: number }
  | { readonly kind: 'refused'; readonly reason: string }
  | {
      readonly kind: 'seen'
      readonly reading: Reading
      readonly inferenceMs: number
      /** Left out where the active model was not timed on this frame. */
      readonly activeMs?: number
      /** CPU time that the frame took altogether. */
      readonly cpuMs: number
    }

/** The active model is timed on every frame at first, then on one of so many. */
const timedFrames = 32
const timedEvery = 4

const tell = (message: FromShadow): void => void process.send?.(message)
let models: { readonly active: Model; readonly candidate: Model } | undefined
let seen = 0

process.on('disconnect', () => process.exit(0))
process.on('message', (message: ToShadow) => {
  const done = message.kind === 'open' ? open(message) : look(message.frame)
  done.catch((error: Error) => tell({ kind: 'refused', reason: error.message }))
})

async function open({ active, candidate }: Extract<ToShadow, { kind: 'open' }>): Promise<void> {
  const before = memoryUsage.rss()
  const opened = await openSource(active)
  const activeBytes = Math.max(0, memoryUsage.rss() - before)
  models = { active: opened, candidate: await openSource(candidate) }
  tell({ kind: 'opened', activeBytes })
}

function openSource(source: ModelSource): Promise<Model> {
  return openModel(source, chooseRuntime(source.runtime)).catch((error) => {
    if (source.fallback === undefined) throw error
    return openModel(source, chooseRuntime(source.fallback))
  })
}

async function look({ canvas, view, width, height, options }: SeenFrame): Promise<void> {
  if (!models) throw new Error('Cannot look at a frame: no model is open')
  const { active, candidate } = models
  const isTimed = seen < timedFrames || seen % timedEvery === 0
  const began = process.cpuUsage()
  // What a stream looks for may be missing in a candidate: then it finds nothing there.
  const labels = options.labels?.filter((label) => candidate.labels.includes(label))
  const asked = { ...options, ...(labels && { labels }) }
  const given = canvasFor(candidate, { canvas, view, width, height })
  let activeMs: number | undefined
  const time = async (
    model: Model,
    on: { canvas: Uint8Array; view: InputView },
    with_: typeof asked,
  ) => {
    const startMs = performance.now()
    const reading = await model.read(on.canvas, on.view, with_)
    return { reading, ms: performance.now() - startMs }
  }
  const timeActive = async (): Promise<void> => {
    if (isTimed) activeMs = (await time(active, { canvas, view }, options)).ms
  }
  // Whoever comes second finds warmer caches: in turns.
  if (seen % 2 === 0) await timeActive()
  const { reading, ms } = await time(candidate, given, asked)
  if (seen % 2 === 1) await timeActive()
  seen++
  const { user, system } = process.cpuUsage(began)
  tell({
    kind: 'seen',
    reading,
    inferenceMs: ms,
    cpuMs: (user + system) / 1000,
    ...(activeMs !== undefined && { activeMs }),
  })
}

/** The canvas as it is, where the candidate takes the same; else its picture brought to the candidate's. */
function canvasFor(
  model: Model,
  { canvas, view, width, height }: Pick<SeenFrame, 'canvas' | 'view' | 'width' | 'height'>,
): { canvas: Uint8Array; view: InputView } {
  const wanted = model.inputFor(width, height)
  if (JSON.stringify(wanted) === JSON.stringify(view)) return { canvas, view }
  const { content } = view
  const pixels = new Uint8Array(content.width * content.height * 3)
  const [red, blue] = view.channels === 'rgb' ? [0, 2] : [2, 0]
  let at = 0
  for (let y = 0; y < content.height; y++) {
    let from = ((content.top + y) * view.width + content.left) * 3
    for (let x = 0; x < content.width; x++, from += 3, at += 3) {
      pixels[at] = canvas[from + red]!
      pixels[at + 1] = canvas[from + 1]!
      pixels[at + 2] = canvas[from + blue]!
    }
  }
  const target = new Uint8Array(model.inputBytes)
  resampleOnto(target, wanted, { pixels, width: content.width, height: content.height })
  return { canvas: target, view: wanted }
}
