/** Samples of a data set on a model's canvas, and what a detector finds in them, read as a box would read it. */
import { type Model, placeImage } from '@edgeloop/edge-agent/detect'
import type { Found } from '@edgeloop/model-compiler'
import type { Dataset, Sample } from '@edgeloop/model-compiler/datasets'

/** As COCO does it: few are cut off by the score. */
const reading = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 }

type OnSample = (done: number, total: number) => void

/** Each sample on the model's canvas; the next one is decoded while the model looks at this one. */
export async function* canvasesOf(
  model: Model,
  dataset: Dataset,
  samples: readonly Sample[],
  onSample: OnSample,
) {
  const place = async (sample: Sample) => {
    const bytes = new Uint8Array(model.inputBytes)
    const picture = await dataset.picture(sample)
    const { view } = await placeImage(picture, (w, h) => model.inputFor(w, h), bytes)
    return { sample, bytes, view }
  }
  // A failure is a value, as nobody waits for this promise yet when it is made.
  const ahead = (sample?: Sample) => sample && place(sample).catch((error: Error) => error)
  let next = ahead(samples[0])
  for (let at = 1; next; at++) {
    const current = await next
    if (current instanceof Error) throw current
    next = ahead(samples[at])
    yield current
    onSample(at, samples.length)
  }
}

/** What a detector finds; images are called by the digest of their sample, boxes are shares of it. */
export async function detectSamples(
  model: Model,
  dataset: Dataset,
  samples: readonly Sample[],
  onSample: OnSample,
): Promise<Found[]> {
  const found: Found[] = []
  for await (const { bytes, view, sample } of canvasesOf(model, dataset, samples, onSample)) {
    const { detections = [] } = await model.read(bytes, view, reading)
    for (const { label, score, box } of detections) {
      const [left = 0, top = 0, width = 0, height = 0] = box
      found.push({ image: sample.digest, label, score, box: [left, top, width, height] })
    }
  }
  return found
}
