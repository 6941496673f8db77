/** Looks at samples as a box would: opened by the agent, fed through the agent's canvas, read by the model's layout. */
import { basename } from 'node:path'
import type { ProposedSample, ProposedThing } from '@edgeloop/cloud-hub'
import {
  looksOfImage,
  type Model,
  openModel,
  ortRuntime,
  type Reading,
} from '@edgeloop/edge-agent/detect'
import { type Dataset, openDataset, type Sample } from '@edgeloop/model-compiler/datasets'
import { canvasesOf } from '../model/detect-samples.ts'
import type { Proposed, ProposeOrder, ProposeProgress } from './propose-order.ts'

/** Low enough that a person has to remove something now and then, which costs less than to draw. */
const reading = { scoreMin: 0.25, nmsIou: 0.5, maxDetections: 100 }
/** Share of the picture from which an area is proposed, and corners of its outline. */
const areaMin = 0.0005
const pointsMax = 2000

/** @throws {Error} where a model cannot be executed */
export async function propose(
  { folder, models, looks }: ProposeOrder,
  tell: (progress: ProposeProgress) => void,
): Promise<Proposed> {
  const dataset = await openDataset(folder, { format: 'frozen' })
  const readable = await readableOf(dataset, looks)
  const samples = readable.map(({ sample }) => sample)
  const total = samples.length * models.length
  const found = new Map<string, ProposedThing[][]>(samples.map(({ digest }) => [digest, []]))
  for (const [at, { file, description, layout }] of models.entries()) {
    const source = { name: basename(file), file, description }
    await using model = await openModel({ ...source, ...(layout !== '' && { layout }) }, ortRuntime)
    const done = at * samples.length
    const told = (looked: number) => tell({ done: done + looked, total })
    for await (const { bytes, view, sample } of canvasesOf(model, dataset, samples, told)) {
      found.get(sample.digest)!.push(thingsOf(await model.read(bytes, view, reading), model))
    }
  }
  return {
    samples: readable.map(
      ({ sample: { digest }, looks: seen }): ProposedSample => ({
        digest,
        found: found.get(digest) ?? [],
        ...(seen && { looks: seen }),
      }),
    ),
  }
}

type Readable = { readonly sample: Sample; readonly looks?: NonNullable<ProposedSample['looks']> }

/** One picture that cannot be decoded must not take the proposals of all others. */
async function readableOf(dataset: Dataset, looks: boolean): Promise<Readable[]> {
  const readable: Readable[] = []
  for (const sample of dataset.samples) {
    const picture = await dataset.picture(sample).catch(() => undefined)
    if (!picture) continue
    readable.push({ sample, ...(looks && { looks: await looksOfImage(picture) }) })
  }
  return readable
}

function thingsOf(said: Reading, { labels }: Model): ProposedThing[] {
  const { detections = [], classes = [], areas = [] } = said
  const boxes = detections.map(({ label, score, box }): ProposedThing => {
    const [left = 0, top = 0, width = 0, height = 0] = box
    return { label, score, box: [left, top, width, height] }
  })
  // Only the best of a classifier is a proposal.
  const [best] = classes
  const outlines = areas
    .filter(({ label, share }) => share >= areaMin && labels.includes(label))
    .flatMap(({ label, polygons }) =>
      polygons
        .filter(({ length }) => length >= 3)
        .map((points): ProposedThing => ({ label, score: 1, points: points.slice(0, pointsMax) })),
    )
  return [...boxes, ...(best ? [{ label: best.label, score: best.score }] : []), ...outlines]
}
