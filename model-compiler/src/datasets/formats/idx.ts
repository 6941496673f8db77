/**
 * idx, the form of MNIST: one file of pictures, one of labels, gzipped or not. Magic `00 00 08 dimensions`, sizes as
 * 32 bits big-endian, then bytes. (LeCun, "The MNIST database", file formats.)
 */
import { createHash } from 'node:crypto'
import { gunzip, type ZlibOptions } from 'node:zlib'
import type { Sample } from '../dataset.ts'
import { DatasetError } from '../dataset-error.ts'
import type { FileTree } from '../file-tree.ts'
import type { PictureSource } from '../pictures.ts'
import { Problems } from '../problems.ts'

/** Most bytes of all pictures of a set, unpacked: they are kept in memory. */
export const rawBytesMax = 1024 * 1024 * 1024
const sideMax = 4096

export type IdxReading = {
  readonly labels: readonly string[]
  readonly samples: readonly Sample[]
  readonly pictures: Extract<PictureSource, { kind: 'raw' }>
  readonly problems: Problems
}

/** Numbers of an idx file: bytes alone, as every set of this form has them. */
export type IdxArray = { readonly sizes: readonly number[]; readonly data: Uint8Array }

/** @throws {DatasetError} without the file's name, when the bytes are not idx or fewer than they announce */
export function readIdx(bytes: Uint8Array): IdxArray {
  const [zero, second, type, dimensions = 0] = bytes
  if (zero !== 0 || second !== 0 || dimensions < 1 || dimensions > 4) {
    throw new DatasetError('it does not begin as an idx file of 1 to 4 dimensions')
  }
  if (type !== 0x08) throw new DatasetError(`its numbers are of type ${type}; bytes (8) are read`)
  const head = 4 + 4 * dimensions
  if (bytes.length < head) throw new DatasetError('it ends within its head')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sizes = Array.from({ length: dimensions }, (_, axis) => view.getUint32(4 + 4 * axis))
  const wanted = sizes.reduce((product, size) => product * size, 1)
  if (bytes.length - head < wanted) {
    throw new DatasetError(
      `it announces ${sizes.join('×')} bytes and holds ${bytes.length - head}: it was cut off`,
    )
  }
  return { sizes, data: bytes.subarray(head, head + wanted) }
}

const picturesName = /(?:^|\/)([^/]*?)[-_.]?images?[-_.]idx[34][-_.]ubyte(?:\.gz)?$/
export const isIdx = ({ files }: FileTree): boolean => files.some((file) => picturesName.test(file))

/** The file of labels to one of pictures, packed or not. */
function labelsFileOf(tree: FileTree, pictures: string): string | undefined {
  const plain = pictures
    .replace(/\.gz$/, '')
    .replace(/image(s?)([-_.]idx)[34]/, (_, many, mark) => `label${many}${mark}1`)
  return [plain, `${plain}.gz`].find((file) => tree.has(file))
}

/**
 * Pairs of pictures and labels, `train-…` before `t10k-…`; all pictures must be of one size.
 * @param labels what the values are called; else their numbers
 */
export async function readIdxSet(
  tree: FileTree,
  labels: readonly string[] | undefined,
  signal?: AbortSignal,
): Promise<IdxReading> {
  const problems = new Problems()
  const parts = []
  const rank = (file: string) => (/train/.test(file) ? 0 : 1)
  const names = tree.files.filter((file) => picturesName.test(file))
  for (const file of names.sort((a, b) => rank(a) - rank(b))) {
    signal?.throwIfAborted()
    const labelsFile = labelsFileOf(tree, file)
    if (labelsFile === undefined) {
      const text = 'there is no file of labels to it; left out'
      problems.add({ kind: 'image-without-labels', file, text })
      continue
    }
    parts.push(await readPart(tree, file, labelsFile, problems))
  }
  const [first] = parts
  if (first === undefined) {
    throw new DatasetError(
      `Cannot read dataset "${tree.folder}": no file of idx pictures has one of labels beside it`,
      'keep the names that come with such sets: train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz',
    )
  }
  const { height, width, channels } = first
  const size = height * width * channels
  for (const part of parts) {
    if (part.height !== height || part.width !== width || part.channels !== channels) {
      throw new DatasetError(
        `Cannot read dataset "${tree.folder}": "${part.file}" holds pictures of ${part.width}×${part.height}, "${first.file}" of ${width}×${height}`,
      )
    }
  }
  const total = parts.reduce((sum, { count }) => sum + count, 0)
  if (total * size > rawBytesMax) {
    throw new DatasetError(
      `Cannot read dataset "${tree.folder}": ${total * size} bytes of pictures, allowed ${rawBytesMax}`,
    )
  }
  const known = labels ?? numbered(Math.max(-1, ...parts.map(({ highest }) => highest)) + 1)
  const data = new Uint8Array(new SharedArrayBuffer(total * size))
  const places = new Map<string, number>()
  const samples: Sample[] = []
  for (const { file, name, labelsFile, count, pixels, values } of parts) {
    for (let index = 0; index < count; index++) {
      const bytes = pixels.subarray(index * size, (index + 1) * size)
      const digest = createHash('sha256').update(bytes).digest('hex')
      const label = known[values[index]!]
      const at = `${name}/${index}`
      if (places.has(digest)) {
        const text = 'the same pixels as an earlier picture; left out'
        problems.add({ kind: 'same-bytes', file: at, text })
      } else if (label === undefined) {
        const text = `picture ${index} has label ${values[index]}, and there are ${known.length}; left out`
        problems.add({ kind: 'unknown-label', file: labelsFile, text })
      } else {
        data.set(bytes, samples.length * size)
        places.set(digest, samples.length)
        samples.push({
          digest,
          name: at,
          width,
          height,
          annotations: [{ kind: 'class', label }],
        })
      }
    }
    if (count === 0) problems.add({ kind: 'unreadable-image', file, text: 'it holds no picture' })
  }
  return {
    labels: known,
    samples,
    pictures: { kind: 'raw', width, height, channels, data, places },
    problems,
  }
}

type Part = {
  readonly file: string
  readonly labelsFile: string
  readonly name: string
  readonly count: number
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly pixels: Uint8Array
  readonly values: Uint8Array
  /** Highest label, −1 where there is none. */
  readonly highest: number
}

async function readPart(
  tree: FileTree,
  file: string,
  labelsFile: string,
  problems: Problems,
): Promise<Part> {
  const pictures = await arrayOf(tree, file)
  const { data: values, sizes: labelSizes } = await arrayOf(tree, labelsFile)
  const [announced = 0, height = 0, width = 0, depth = 1] = pictures.sizes
  const refuse = (name: string, why: string) =>
    new DatasetError(`Cannot read dataset "${tree.folder}": "${name}" ${why}`)
  if (pictures.sizes.length < 3 || (depth !== 1 && depth !== 3)) {
    throw refuse(
      file,
      `has sizes ${pictures.sizes.join('×')}; pictures are count×height×width, or ×3`,
    )
  }
  if (height < 1 || width < 1 || height > sideMax || width > sideMax) {
    throw refuse(file, `holds pictures of ${width}×${height}; from 1 to ${sideMax} is read`)
  }
  if (labelSizes.length !== 1) throw refuse(labelsFile, 'holds more than one label for a picture')
  if (values.length !== announced) {
    const text = `${values.length} labels to ${announced} pictures; what is beyond the shorter is left out`
    const kind = values.length < announced ? 'image-without-labels' : 'labels-without-image'
    problems.add({ kind, file: labelsFile, text })
  }
  const count = Math.min(announced, values.length)
  const stem = picturesName.exec(file)?.[1] || 'pictures'
  return {
    file,
    labelsFile,
    name: stem,
    count,
    width,
    height,
    channels: depth,
    pixels: pictures.data,
    values,
    highest: values.reduce((most, value) => Math.max(most, value), -1),
  }
}

async function arrayOf(tree: FileTree, file: string): Promise<IdxArray> {
  try {
    const bytes = await tree.bytes(file, rawBytesMax)
    const packed = bytes[0] === 0x1f && bytes[1] === 0x8b
    return readIdx(packed ? await unpack(bytes, { maxOutputLength: rawBytesMax }) : bytes)
  } catch (cause) {
    throw new DatasetError(
      `Cannot read "${tree.path(file)}": ${(cause as Error).message}`,
      undefined,
      {
        cause,
      },
    )
  }
}

const unpack = (bytes: Uint8Array, options: ZlibOptions): Promise<Buffer> =>
  new Promise((resolve, reject) =>
    gunzip(bytes, options, (error, unpacked) => (error ? reject(error) : resolve(unpacked))),
  )

const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at))
