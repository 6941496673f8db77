/**
 * A clip of one's own, from camera to labels and back: the commands of docs/labelling.md ("With a clip of your own"), one after
 * the other. A real street, a detector that is made int8 here, an agent and a hub in processes of their own. What people
 * do in CVAT and Label Studio is done to the files that those would write.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { globSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type {
  DatasetRow,
  DatasetSample,
  DatasetVersion,
  FieldSample,
  LabelAnswer,
  LabelOutcomes,
  LabelQueueRow,
  LabelTask,
  SampleAnnotation,
} from '@edgeloop/protocol'
import { cocoLabels } from '../../edge-agent/src/models/coco-labels.ts'
import { material, needs } from '../require.ts'
import { edgeloop, startUp, stopUp } from './running-up.ts'

const clip = `${material}/clips/vehicle-counting.mp4`
const calibration = `${material}/suites/ort-quantization-reference/calibration/nanodet_m_320`
const labels = ['car', 'bus', 'truck', 'person']
const wanted = 6
/** Of a side of the picture: a tenth of a pixel of this clip. */
const tolerance = 1.5e-4
// Each look is a command, in a process of its own.
const soon = { timeout: 240_000, interval: 4000 }

type Boxed = { readonly label: string; readonly box: readonly number[] }
/** What is said of each picture, by its digest. */
type Said = ReadonlyMap<string, readonly Boxed[]>

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const keyOf = ({ label, box }: Boxed): string =>
  `${label} ${box.map((share) => share.toFixed(6)).join(' ')}`
const areAlike = (a: Boxed, b: Boxed): boolean =>
  a.label === b.label && a.box.every((share, side) => Math.abs(share - b.box[side]!) <= tolerance)

/** The same pictures, and of each the same boxes in any order. */
function assertSame(where: string, found: Said, expected: Said): void {
  assert.deepEqual([...found.keys()].toSorted(), [...expected.keys()].toSorted(), where)
  for (const [digest, shall] of expected) {
    const left = [...(found.get(digest) ?? [])]
    for (const one of shall) {
      const at = left.findIndex((other) => areAlike(one, other))
      assert.ok(at >= 0, `${where}: ${digest} lacks ${keyOf(one)}; has ${left.map(keyOf)}`)
      left.splice(at, 1)
    }
    assert.deepEqual(left, [], `${where}: ${digest} says more`)
  }
}

/** The digest of each picture of a folder that was exported, by the name of its file. */
async function picturesOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = globSync(join(folder, 'images', '*'))
  const named = files.map(async (file) => [basename(file), digestOf(await readFile(file))] as const)
  return new Map(await Promise.all(named))
}

/** What COCO's JSON says; read here, not by the code that reads it elsewhere. */
async function cocoIn(folder: string): Promise<Said> {
  const pictures = await picturesOf(folder)
  const { images, annotations, categories } = JSON.parse(
    await readFile(join(folder, 'annotations', 'instances.json'), 'utf8'),
  ) as {
    images: { id: number; file_name: string; width: number; height: number }[]
    annotations: { image_id: number; category_id: number; bbox: [number, number, number, number] }[]
    categories: { id: number; name: string }[]
  }
  const names = new Map(categories.map(({ id, name }) => [id, name]))
  return new Map(
    images.map(({ id, file_name, width, height }) => [
      pictures.get(file_name) ?? file_name,
      annotations
        .filter(({ image_id }) => image_id === id)
        .map(({ category_id, bbox: [x, y, across, down] }) => ({
          label: names.get(category_id) ?? '',
          box: [x / width, y / height, across / width, down / height],
        })),
    ]),
  )
}

/** What YOLO's texts say: class, centre and size, in shares. */
async function yoloIn(folder: string): Promise<Said> {
  const said = new Map<string, Boxed[]>()
  for (const [file, digest] of await picturesOf(folder)) {
    const name = file.replace(/\.[a-z]+$/, '.txt')
    const lines = (await readFile(join(folder, 'labels', name), 'utf8')).trim().split('\n')
    const boxes = lines.filter(Boolean).map((line): Boxed => {
      const [index = 0, x = 0, y = 0, width = 0, height = 0] = line.split(' ').map(Number)
      return { label: labels[index] ?? '', box: [x - width / 2, y - height / 2, width, height] }
    })
    said.set(digest, boxes)
  }
  return said
}

/** Changes the text of a file; fails where nothing changes. */
async function change(file: string, how: (text: string) => string): Promise<void> {
  const text = await readFile(file, 'utf8')
  const changed = how(text)
  assert.notEqual(changed, text, `${file} is as it was`)
  await writeFile(file, changed)
}

const boxesOf = (annotations: readonly SampleAnnotation[]): Boxed[] =>
  annotations.map((one) => (one.kind === 'box' ? one : assert.fail(`a ${one.kind}`)))

test('a street is sampled, labelled, mended in CVAT and Label Studio, and says in COCO what was said of it', {
  ...needs('material', 'node-av', 'time'),
  timeout: 600_000,
}, async (t: TestContext) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clip-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const data = join(folder, 'data')
  /** The JSON lines of a command that must succeed. */
  const run = async <T>(...words: string[]): Promise<T[]> => {
    const { code, stdout, stderr } = await edgeloop(...words, '--data', data, '--json')
    assert.equal(code, 0, `${words.join(' ')}: ${stderr}`)
    const lines = stdout.split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as T)
  }

  // The model, as int8 arithmetic.
  const out = join(folder, 'street')
  const compiled = await edgeloop(
    ...['model', 'compile', `${material}/models/nanodet_m_320.onnx`],
    ...['--layout', 'nanodet', '--labels', 'coco', '--calibrate', calibration],
    ...['--precision', 'int8', '--max-drop', '0.2', '--measure-seconds', '0.05', '--out', out],
    '--json',
  )
  assert.equal(compiled.code, 0, compiled.stderr)
  assert.equal(JSON.parse(compiled.stdout.trim().split('\n').at(-1) ?? '').chosen, 'int8')

  const { up } = await startUp(t, data, '--camera', clip, '--model', join(out, 'model.onnx'))
  await run('stream', 'remove', 'demo', 'vehicle-counting')
  await run(
    ...['stream', 'add', 'demo', '--id', 'street', '--source', clip, '--model', 'model'],
    ...['--score-min', '0.35', '--sampling', '2000'],
    ...labels.flatMap((label) => ['--label', label]),
  )
  const [empty] = await run<DatasetRow>('dataset', 'create', 'street', '--labels', labels.join())
  assert.deepEqual([empty?.labels, empty?.samples], [labels, 0])
  await run(
    ...['label', 'queue', 'put', 'street', '--dataset', 'street', '--model', 'model'],
    ...['--kind', 'box'],
  )

  // Sampled by the box, and waiting for people.
  await t.waitFor(async () => {
    const [queue] = await run<LabelQueueRow>('label', 'queue', 'show', 'street')
    assert.ok((queue?.counts.open ?? 0) >= wanted, `${queue?.counts.open} samples wait`)
  }, soon)
  const sent = await run<FieldSample>('sample', 'list', '--stream', 'street')
  assert.ok(sent.length >= wanted)
  for (const { signatureValid, model, why, width, height, detections } of sent) {
    assert.deepEqual([signatureValid, model.name, width, height], [true, 'model', 640, 352])
    assert.notEqual(why, '')
    assert.ok(detections.every(({ label }) => cocoLabels.includes(label)))
  }
  assert.ok(new Set(sent.map(({ reason }) => reason)).size > 1, 'for more than one reason')
  await run('stream', 'remove', 'demo', 'street')

  // One is skipped, one is mended, the others are accepted as they are proposed.
  const tasks = await run<LabelTask>('label', 'take', 'street', '--count', `${wanted}`)
  assert.equal(tasks.length, wanted)
  const rich = tasks.findIndex(({ suggestions }) => suggestions.length >= 3)
  assert.ok(rich >= 0, 'a frame with three cars')
  const [mended] = tasks.splice(rich, 1)
  const [skipped] = tasks.splice(-1, 1)
  assert.ok(mended && skipped)
  const accepted = ({ suggestions }: LabelTask): Boxed[] =>
    suggestions.flatMap(({ label, box, from }) => {
      assert.match(from, /^box:model@/)
      return box ? [{ label, box }] : []
    })
  const expected = new Map<string, Boxed[]>()
  const answer = (
    { taskId, revision, sample }: LabelTask,
    boxes: readonly Boxed[],
    edits: number,
  ): Omit<LabelAnswer, 'answerId'> => {
    expected.set(sample.digest, [...boxes])
    const annotations = boxes.map(({ label, box }) => ({ kind: 'box', label, box: [...box] }))
    return { taskId, revision, verdict: 'annotated', annotations, lookedMs: 2000, edits } as never
  }
  const [wrong, , ...right] = accepted(mended)
  const mend = [
    { ...wrong!, label: 'truck' },
    ...right,
    { label: 'person', box: [0.1, 0.2, 0.05, 0.1] },
  ]
  const { taskId, revision } = skipped
  const answers = [
    ...tasks.map((task) => answer(task, accepted(task), 0)),
    answer(mended, mend, 3),
    { taskId, revision, verdict: 'skip', annotations: [], lookedMs: 500, edits: 0 },
  ]
  const file = join(folder, 'answers.jsonl')
  await writeFile(file, answers.map((one) => JSON.stringify(one)).join('\n'))
  const outcomes = await run<LabelOutcomes['outcomes'][number]>('label', 'answer', 'street', file)
  assert.deepEqual(
    outcomes.map(({ outcome, state }) => `${outcome} ${state}`),
    [...Array.from({ length: wanted - 1 }, () => 'kept done'), 'kept open'],
  )
  const said = async (): Promise<DatasetSample[]> => {
    const [version] = await run<DatasetVersion>('dataset', 'freeze', 'street', '--by', 'sample')
    const frozen = join(folder, `frozen-${version?.version}`)
    await run('dataset', 'export', 'street', '--to', 'frozen', '--out', frozen)
    const text = await readFile(join(frozen, 'samples.jsonl'), 'utf8')
    return text
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line) as DatasetSample)
  }
  const saidOf = (samples: readonly DatasetSample[]): Said =>
    new Map(samples.map(({ digest, annotations }) => [digest, boxesOf(annotations)]))
  const first = await said()
  assertSame('frozen first', saidOf(first), expected)
  assert.ok(!first.some(({ digest }) => digest === skipped.sample.digest), 'skipped')

  const exportTo = async (form: string): Promise<string> => {
    const to = join(folder, `${form}-${expected.size}-${globSync(join(folder, '*')).length}`)
    await run('dataset', 'export', 'street', '--to', form, '--out', to)
    return to
  }
  assertSame('COCO first', await cocoIn(await exportTo('coco')), expected)

  // CVAT: of the first car of the mended frame somebody says that it is a bus, and moves its left side.
  const [name] =
    [...(await picturesOf(await exportTo('cvat')))].find(
      ([, digest]) => digest === mended.sample.digest,
    ) ?? assert.fail('the mended frame is not there')
  const cvat = await exportTo('cvat')
  await change(join(cvat, 'annotations.xml'), (text) =>
    text.replace(
      new RegExp(`(name="${name}"[^>]*>\\s*<box label=")truck("[^>]*xtl=")([0-9.]+)"`),
      (_, before, between, left) => `${before}bus${between}${Number(left) - 2}"`,
    ),
  )
  const [truck, ...others] = expected.get(mended.sample.digest) ?? []
  const [left = 0, top = 0, across = 0, down = 0] = truck?.box ?? []
  const wider = [left - 2 / 640, top, across + 2 / 640, down]
  expected.set(mended.sample.digest, [{ label: 'bus', box: wider }, ...others])
  type Imported = { added: number; changed: number; unchanged: number; pictures: number }
  const [back] = await run<Imported>('dataset', 'import', cvat, '--name', 'street')
  // What nobody has touched there is not newly said.
  assert.deepEqual([back?.added, back?.changed, back?.pictures], [0, 1, 0])
  const second = await said()
  assertSame('after CVAT', saidOf(second), expected)

  // Label Studio: somebody takes one box away, and draws one where nothing was said to be.
  const studio = await exportTo('label-studio')
  const other = [...expected.keys()].find(
    (digest) => digest !== mended.sample.digest && expected.get(digest)!.length > 0,
  )
  assert.ok(other)
  type StudioTask = {
    data: { edgeloop: { digest: string } }
    annotations: { result: { value: Record<string, unknown> }[] }[]
  }
  await change(join(studio, 'tasks.json'), (text) => {
    const list = JSON.parse(text) as StudioTask[]
    const result = list.find(({ data }) => data.edgeloop.digest === other)?.annotations[0]?.result
    const drawn = structuredClone(result?.[0])
    assert.ok(result && drawn)
    const place = { x: 70, y: 60, width: 10, height: 20, rotation: 0 }
    drawn.value = { ...place, rectanglelabels: ['person'] }
    result.splice(0, 1, drawn)
    return JSON.stringify(list)
  })
  expected.set(other, [
    ...expected.get(other)!.slice(1),
    { label: 'person', box: [0.7, 0.6, 0.1, 0.2] },
  ])
  const [again] = await run<Imported>('dataset', 'import', studio, '--name', 'street')
  assert.deepEqual([again?.added, again?.changed, again?.pictures], [0, 1, 0])
  const third = await said()
  assertSame('after Label Studio', saidOf(third), expected)

  // And out again, as what a trainer elsewhere reads; where and when each was taken has come along.
  assertSame('COCO', await cocoIn(await exportTo('coco')), expected)
  assertSame('YOLO', await yoloIn(await exportTo('yolo')), expected)
  const placeOf = ({ digest, site, stream, capturedAt }: DatasetSample) =>
    [digest, site, stream, Number(capturedAt)].join(' ')
  assert.deepEqual(third.map(placeOf).toSorted(), first.map(placeOf).toSorted())
  const taken = new Map(sent.map(({ digest, capturedAt }) => [digest, capturedAt]))
  for (const { digest, stream, capturedAt } of third) {
    assert.deepEqual([stream, Number(capturedAt)], ['street', Date.parse(taken.get(digest) ?? '')])
  }
  await stopUp(up)
})
