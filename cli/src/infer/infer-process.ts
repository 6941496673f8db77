/** The process that holds one model of a hub open, and does with it what it is asked, one thing after the other. */
import { basename } from 'node:path'
import { type Model, openModel, ortRuntime, readImage } from '@edgeloop/edge-agent/detect'
import type { PictureReading } from '@edgeloop/protocol'
import type { FromModel, ToModel } from './infer-words.ts'

let model: Model | undefined

async function answer(word: ToModel): Promise<FromModel> {
  if (word.kind === 'open') {
    const { file, description, layout, threads } = word
    const source = { name: basename(file), file, description, ...(layout !== '' && { layout }) }
    model = await openModel(source, ortRuntime, { threads })
    return { kind: 'opened', signature: model.signature }
  }
  if (!model) throw new Error('no model is open')
  if (word.kind === 'infer') return { kind: 'inferred', outputs: await model.run(word.inputs) }
  return { kind: 'looked', reading: await look(model, word) }
}

async function look(
  open: Model,
  { picture, reading }: Extract<ToModel, { kind: 'look' }>,
): Promise<PictureReading> {
  const canvas = new Uint8Array(open.inputBytes)
  const inputFor = (width: number, height: number) => open.inputFor(width, height)
  const { view, width, height } = await readImage(picture, inputFor, canvas)
  const { detections, classes, areas, embedding } = await open.read(canvas, view, reading)
  return {
    width,
    height,
    ...(detections && {
      detections: detections.map(({ label, score, box }) => ({ label, score, box: [...box] })),
    }),
    ...(classes && { classes: classes.map(({ label, score }) => ({ label, score })) }),
    ...(areas && {
      areas: areas.map(({ label, share, polygons }) => ({
        label,
        share,
        polygons: polygons.map((points) => points.map((point) => [...point])),
      })),
    }),
    ...(embedding && { embedding: [...embedding] }),
  }
}

const say = (word: FromModel): void => {
  if (process.connected) process.send?.(word)
}

// It ends as well when nobody is there any more to hear it.
process.once('disconnect', () => process.exit(0))
let before = Promise.resolve()
process.on('message', (word: ToModel) => {
  before = before.then(() =>
    answer(word).then(say, (error: Error) => say({ kind: 'failed', reason: error.message })),
  )
})
