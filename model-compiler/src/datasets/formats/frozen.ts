/**
 * Our own form of a data set, what a hub hands to whoever trains and what travels between hubs: `dataset.json` (name,
 * labels, how the pictures lie), `samples.jsonl` (the frozen list, whose SHA-256 names the set) and `blobs/ab/abcd…`
 * (pictures and masks, each under the digest of its bytes).
 */
import { createReadStream } from 'node:fs'
import { link, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Digest } from '@edgeloop/protocol'
import { parse, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import type { Annotation, Dataset, Sample } from '../dataset.ts'
import { DatasetError } from '../dataset-error.ts'
import type { FileTree } from '../file-tree.ts'
import { frozenLines } from '../frozen-list.ts'
import { type PictureSource, readImageFile } from '../pictures.ts'
import { Problems } from '../problems.ts'

export const headName = 'dataset.json'
export const listName = 'samples.jsonl'
const samplesMax = 10_000_000

const side = Type.Integer({ minimum: 1, maximum: 65_535 })

const Head = Type.Object({
  name: Type.String({ maxLength: 1000 }),
  labels: Type.Array(Type.String({ minLength: 1, maxLength: 1000 }), { uniqueItems: true }),
  /** Files of an image format, or pixels row by row, all of one size. */
  pictures: Type.Union([
    Type.Object({ kind: Type.Literal('files') }),
    Type.Object({
      kind: Type.Literal('raw'),
      width: side,
      height: side,
      channels: Type.Union([Type.Literal(1), Type.Literal(3)]),
    }),
  ]),
})
export type FrozenHead = Static<typeof Head>

const Share = Type.Number({ minimum: 0, maximum: 1 })
const Label = Type.String({ minLength: 1, maxLength: 1000 })

/** A line of the list; where a mask lies follows from its digest. */
const Line = Type.Object({
  digest: Digest,
  name: Type.String({ maxLength: 1000 }),
  width: side,
  height: side,
  site: Type.Optional(Type.String({ maxLength: 1000 })),
  stream: Type.Optional(Type.String({ maxLength: 1000 })),
  capturedAt: Type.Optional(Type.Number()),
  annotations: Type.Array(
    Type.Union([
      Type.Object({ kind: Type.Literal('class'), label: Label }),
      Type.Object({
        kind: Type.Literal('box'),
        label: Label,
        box: Type.Tuple([Share, Share, Share, Share]),
        crowd: Type.Optional(Type.Boolean()),
      }),
      Type.Object({
        kind: Type.Literal('polygon'),
        label: Label,
        points: Type.Array(Type.Tuple([Share, Share]), { minItems: 3 }),
      }),
      Type.Object({ kind: Type.Literal('mask'), labels: Type.Array(Label), digest: Digest }),
      Type.Object({ kind: Type.Literal('number'), name: Label, value: Type.Number() }),
    ]),
  ),
})

/** Path of a picture or mask within the folder. */
export const blobName = (digest: string): string => `blobs/${digest.slice(0, 2)}/${digest}`

export const isFrozen = (tree: FileTree): boolean => tree.has(headName) && tree.has(listName)

/**
 * @param labels must be those of the set: what was frozen is not changed by reading it
 * @throws {DatasetError} when anything is not as it was frozen: a file that is missing, a line that is no sample
 */
export async function readFrozen(
  tree: FileTree,
  labels: readonly string[] | undefined,
  signal?: AbortSignal,
): Promise<{
  readonly name: string
  readonly labels: readonly string[]
  readonly samples: readonly Sample[]
  readonly pictures: PictureSource
  readonly problems: Problems
}> {
  const refuse = (why: string) =>
    new DatasetError(`Cannot read dataset "${tree.folder}" as frozen: ${why}`)
  const head = await read(() => tree.bytes(headName, 4 * 1024 * 1024), Head, headName, refuse)
  if (
    labels &&
    (labels.length !== head.labels.length || labels.some((label, at) => label !== head.labels[at]))
  ) {
    throw refuse(`its labels are ${head.labels.join(', ')}, and cannot be others`)
  }
  const known = new Set(head.labels)
  const samples: Sample[] = []
  const seen = new Set<string>()
  let number = 0
  for await (const text of createInterface({ input: createReadStream(tree.path(listName)) })) {
    signal?.throwIfAborted()
    // The first line is of the labels.
    if (++number === 1 || text === '') continue
    const at = `${listName}:${number}`
    if (samples.length >= samplesMax) throw refuse(`${at}: more than ${samplesMax} samples`)
    const line = await read(async () => Buffer.from(text), Line, at, refuse)
    if (seen.has(line.digest)) throw refuse(`${at}: the sample ${line.digest} is there twice`)
    seen.add(line.digest)
    const annotations = line.annotations.map((one): Annotation => {
      for (const label of one.kind === 'mask' ? one.labels : 'label' in one ? [one.label] : []) {
        if (!known.has(label)) throw refuse(`${at}: the label "${label}" is not in its list`)
      }
      return one.kind === 'mask' ? { ...one, file: blobName(one.digest) } : one
    })
    for (const digest of [line.digest, ...annotations.flatMap(masksIn)]) {
      if (!tree.has(blobName(digest))) throw refuse(`${at}: ${blobName(digest)} is not there`)
    }
    samples.push({ ...line, annotations })
  }
  if (samples.length === 0) throw refuse('it has no sample')
  return {
    name: head.name,
    labels: head.labels,
    samples,
    pictures: await picturesOf(tree, head, samples, refuse),
    problems: new Problems(),
  }
}

const masksIn = (one: Annotation): string[] => (one.kind === 'mask' ? [one.digest] : [])

async function read<S extends typeof Head | typeof Line>(
  bytes: () => Promise<Uint8Array>,
  schema: S,
  what: string,
  refuse: (why: string) => DatasetError,
): Promise<Static<S>> {
  try {
    return parse(schema, parseJson(await bytes(), what), what)
  } catch (cause) {
    throw refuse((cause as Error).message)
  }
}

async function picturesOf(
  tree: FileTree,
  { pictures }: FrozenHead,
  samples: readonly Sample[],
  refuse: (why: string) => DatasetError,
): Promise<PictureSource> {
  const { folder } = tree
  if (pictures.kind === 'files') {
    const files = new Map(samples.map(({ digest }) => [digest, blobName(digest)]))
    return { kind: 'files', folder, files }
  }
  const { width, height, channels } = pictures
  const size = width * height * channels
  const data = new Uint8Array(new SharedArrayBuffer(size * samples.length))
  const places = new Map<string, number>()
  for (const [at, { digest, name }] of samples.entries()) {
    const bytes = await readImageFile(join(folder, blobName(digest)))
    if (bytes.length !== size) {
      throw refuse(
        `"${name}" has ${bytes.length} bytes; ${width}×${height}×${channels} are ${size}`,
      )
    }
    data.set(bytes, at * size)
    places.set(digest, at)
  }
  return { kind: 'raw', width, height, channels, data, places }
}

/**
 * Writes a data set in this form.
 * @param folder is made; must be empty or not there
 * @throws {DatasetError} when a picture cannot be read
 */
export async function writeFrozen(
  dataset: Dataset,
  folder: string,
  options: { readonly signal?: AbortSignal; readonly wrote?: (samples: number) => void } = {},
): Promise<void> {
  const { name, labels, samples, pictures } = dataset
  await mkdir(join(folder, 'blobs'), { recursive: true })
  const shelves = new Set<string>()
  const place = async (digest: string): Promise<string> => {
    const shelf = digest.slice(0, 2)
    if (!shelves.has(shelf)) await mkdir(join(folder, 'blobs', shelf), { recursive: true })
    shelves.add(shelf)
    return join(folder, blobName(digest))
  }
  for (const [at, sample] of samples.entries()) {
    options.signal?.throwIfAborted()
    await writeFile(await place(sample.digest), await dataset.bytes(sample, options.signal))
    for (const mask of sample.annotations) {
      if (mask.kind !== 'mask') continue
      const from = join(dataset.folder, mask.file)
      await link(from, await place(mask.digest)).catch(async (error: NodeJS.ErrnoException) => {
        // Another sample has the same mask, or it lies on another disk.
        if (error.code !== 'EEXIST') {
          await writeFile(await place(mask.digest), await readImageFile(from))
        }
      })
    }
    options.wrote?.(at + 1)
  }
  const { kind } = pictures
  const head: FrozenHead = {
    name,
    labels: [...labels],
    pictures:
      kind === 'files'
        ? { kind }
        : { kind, width: pictures.width, height: pictures.height, channels: pictures.channels },
  }
  await writeFile(join(folder, headName), `${JSON.stringify(head)}\n`)
  const lines = [...frozenLines(labels, samples)]
  await writeFile(join(folder, listName), `${lines.join('\n')}\n`)
}
