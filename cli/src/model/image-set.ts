/**
 * A folder of images as the compiler takes it: which images there are, each with the digest of its bytes, and
 * what people said is in them. Labels are found where their tools put them: YOLO's text files (`labels/` beside
 * `images/`, or beside each image), Pascal VOC's XML (`Annotations/`, or beside each image), a folder per class,
 * and masks (`masks/`).
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { opendir, readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, sep } from 'node:path'
import { imageEndings } from '@edgeloop/edge-agent/detect'
import type { Box, Truth } from '@edgeloop/model-compiler'
import { XMLParser } from 'fast-xml-parser'
import { parse as parseYaml } from 'yaml'
import { Failure } from '../failure.ts'

/** An image of a set. */
export type SetImage = {
  /** Path within the folder, with `/` on every system: what results and truths call it. */
  readonly name: string
  readonly file: string
}

/** What is known to be in the images, by the kind of question it can answer. */
export type Truths =
  | { readonly kind: 'boxes'; readonly boxes: readonly Truth[] }
  /** Label by image. */
  | { readonly kind: 'classes'; readonly of: ReadonlyMap<string, string> }
  /** File of the mask by image. */
  | { readonly kind: 'masks'; readonly of: ReadonlyMap<string, string> }
  | { readonly kind: 'none' }

/** Entries of a folder that are looked at: a wrong folder (`/`) must not take minutes. */
const entriesMax = 200_000

/** Most bytes of a file of labels. */
const labelBytesMax = 4 * 1024 * 1024

/** A folder, read once. */
export class ImageSet {
  readonly folder: string
  readonly images: readonly SetImage[]
  readonly #files: readonly string[]

  private constructor(folder: string, images: readonly SetImage[], files: readonly string[]) {
    this.folder = folder
    this.images = images
    this.#files = files
  }

  /** @throws {Failure} when there is no such folder, no image in it, or too much */
  static async open(folder: string): Promise<ImageSet> {
    const files: string[] = []
    try {
      let entries = 0
      for await (const entry of await opendir(folder, { recursive: true })) {
        if (++entries > entriesMax) throw new Error(`it holds more than ${entriesMax} entries`)
        if (!entry.isFile()) continue
        files.push(relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
      }
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      const known: Record<string, string> = {
        ENOENT: 'there is no such folder',
        ENOTDIR: 'it is a file; give the folder it lies in',
      }
      const why = known[code ?? ''] ?? message
      throw new Failure(`Cannot read images of "${folder}": ${why}`, undefined, { cause })
    }
    // By code units, so that the order is the same on every machine.
    files.sort()
    const pictures = files.filter(
      (file) =>
        imageEndings.some((ending) => file.toLowerCase().endsWith(ending)) &&
        !foldersOf(file).some((name) => name === 'masks' || name === 'labels'),
    )
    const inImages = pictures.filter((file) => foldersOf(file).some(isImageFolder))
    const chosen = inImages.length > 0 ? inImages : pictures
    if (chosen.length === 0) {
      throw new Failure(
        `Cannot read images of "${folder}": no file in it ends in ${imageEndings.join(' ')}`,
      )
    }
    const images = chosen.map((name) => ({ name, file: join(folder, name) }))
    return new ImageSet(folder, images, files)
  }

  /**
   * Boxes in YOLO's or VOC's form, as shares of their image; only labels that the model knows.
   * @param labels the model's
   * @throws {Failure} when a file of labels is none, or none of its labels is one of the model's
   */
  async boxes(labels: readonly string[]): Promise<Truths> {
    const found = (await this.#yoloBoxes(labels)) ?? (await this.#vocBoxes())
    if (!found || found.length === 0) return { kind: 'none' }
    const boxes = found.filter(({ label }) => labels.includes(label))
    if (boxes.length === 0) this.#refuseLabels(new Set(found.map(({ label }) => label)), labels)
    return { kind: 'boxes', boxes }
  }

  /** The class of each image by the folder it lies in; images of classes that the model does not know are left out. */
  classes(labels: readonly string[]): Truths {
    const of = new Map<string, string>()
    const others = new Set<string>()
    for (const { name } of this.images) {
      const label = foldersOf(name).at(-1)
      if (label === undefined || isImageFolder(label)) continue
      if (labels.includes(label)) of.set(name, label)
      else others.add(label)
    }
    if (of.size > 0) return { kind: 'classes', of }
    if (others.size >= 2) this.#refuseLabels(others, labels)
    return { kind: 'none' }
  }

  /** The mask of each image: `masks/…/NAME.png`. */
  masks(): Truths {
    const masks = this.#files.filter(
      (file) => foldersOf(file).includes('masks') && extname(file).toLowerCase() === '.png',
    )
    const byStem = new Map(masks.map((file) => [stemOf(file), file]))
    const pairs = this.images.flatMap(({ name }) => {
      const mask = byStem.get(stemOf(name))
      return mask === undefined ? [] : [[name, join(this.folder, mask)] as const]
    })
    return pairs.length > 0 ? { kind: 'masks', of: new Map(pairs) } : { kind: 'none' }
  }

  #refuseLabels(has: ReadonlySet<string>, labels: readonly string[]): never {
    throw new Failure(
      `Cannot evaluate with "${this.folder}": none of its labels (${someOf([...has])}) is one of the model's (${someOf(labels)})`,
      'give the labels the model was trained with (--labels), or other images',
    )
  }

  async #yoloBoxes(labels: readonly string[]): Promise<Truth[] | undefined> {
    const texts = this.#files.filter(
      (file) => file.endsWith('.txt') && !listNames.has(basename(file)),
    )
    const inLabels = texts.filter((file) => foldersOf(file).includes('labels'))
    const images = new Map(this.images.map((image) => [stemOf(image.name), image]))
    // A text that is named like no image is a licence or a list.
    const chosen = (inLabels.length > 0 ? inLabels : texts).filter((file) =>
      images.has(stemOf(file)),
    )
    if (chosen.length === 0) return undefined
    const names = (await this.#yoloNames(chosen[0]!)) ?? labels
    const boxes: Truth[] = []
    for (const file of chosen) {
      const lines = (await this.#text(file)).split('\n')
      for (const [index, line] of lines.entries()) {
        if (line.trim() === '') continue
        const at = `Cannot read labels "${join(this.folder, file)}": line ${index + 1}`
        boxes.push({ image: images.get(stemOf(file))!.name, ...yoloBox(line, names, at) })
      }
    }
    return boxes
  }

  /** What the classes of YOLO's files are called, where a file above them says so. */
  async #yoloNames(labelFile: string): Promise<readonly string[] | undefined> {
    const above = [...foldersOf(labelFile).keys()].map((depth) =>
      foldersOf(labelFile).slice(0, depth).join('/'),
    )
    // The nearest folder above is asked first.
    for (const folder of [...above, dirname(labelFile)].toReversed()) {
      const here = this.#files.filter((file) => inFolder(file, folder))
      const list = here.find((file) => listNames.has(basename(file)))
      if (list) return linesOf(await this.#text(list))
      for (const file of here.filter((name) => /\.ya?ml$/.test(name))) {
        const names = namesIn(await this.#text(file), join(this.folder, file))
        if (names) return names
      }
    }
    return undefined
  }

  async #vocBoxes(): Promise<Truth[] | undefined> {
    const images = new Map(this.images.map((image) => [stemOf(image.name), image]))
    const chosen = this.#files.filter((file) => file.endsWith('.xml') && images.has(stemOf(file)))
    if (chosen.length === 0) return undefined
    const boxes: Truth[] = []
    for (const file of chosen) {
      const what = join(this.folder, file)
      const image = images.get(stemOf(file))!.name
      boxes.push(...vocBoxes(await this.#text(file), image, what))
    }
    return boxes
  }

  async #text(name: string): Promise<string> {
    const file = join(this.folder, name)
    const bytes = await readFile(file)
    if (bytes.length > labelBytesMax) {
      throw new Failure(
        `Cannot read labels "${file}": ${bytes.length} bytes, allowed ${labelBytesMax}`,
      )
    }
    return bytes.toString('utf8')
  }
}

/** SHA-256 of a file's bytes, hex. */
export async function digestOf(file: string): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of createReadStream(file)) digest.update(chunk)
  return digest.digest('hex')
}

/** Files that list classes, which YOLO's tools put beside the labels. */
const listNames: ReadonlySet<string> = new Set(['classes.txt', 'obj.names', 'names.txt'])

const imageFolders: ReadonlySet<string> = new Set(['images', 'jpegimages'])
const isImageFolder = (name: string): boolean => imageFolders.has(name.toLowerCase())
const foldersOf = (file: string): string[] => file.split('/').slice(0, -1)
const inFolder = (file: string, folder: string): boolean => foldersOf(file).join('/') === folder

/** What an image and its labels have in common: the path below `images/` or `labels/`, without the ending. */
function stemOf(file: string): string {
  const parts = file.slice(0, file.length - extname(file).length).split('/')
  const at = parts.findLastIndex(
    (name) => isImageFolder(name) || labelFolders.has(name.toLowerCase()),
  )
  return parts.slice(at + 1).join('/')
}
const labelFolders: ReadonlySet<string> = new Set(['labels', 'annotations', 'masks'])

const linesOf = (text: string): string[] => text.trim().split(/\s*\n\s*/)

/** `names:` of a YOLO configuration: a list, or names by number. */
function namesIn(text: string, what: string): string[] | undefined {
  let data: unknown
  try {
    data = parseYaml(text)
  } catch (cause) {
    throw new Failure(`Cannot read "${what}": it is not YAML`, undefined, { cause })
  }
  const names = (data as { names?: unknown } | null)?.names
  if (names === null || typeof names !== 'object') return undefined
  const list: string[] = []
  for (const [key, name] of Object.entries(names)) list[Number(key)] = String(name)
  return Array.from(list, (name) => name ?? '')
}

/** A line of YOLO's format: class, then centre and size as shares; of an outline, the box around it. */
function yoloBox(
  line: string,
  names: readonly string[],
  at: string,
): { readonly label: string; readonly box: Box } {
  const words = line.trim().split(/\s+/)
  const [index = Number.NaN, ...numbers] = words.map(Number)
  if (!Number.isInteger(index) || numbers.length < 4 || !numbers.every(Number.isFinite)) {
    throw new Failure(`${at} "${line.trim().slice(0, 60)}" is not "class x y width height"`)
  }
  const label = names[index]
  if (label === undefined || label === '') {
    throw new Failure(
      `${at} names class ${index}, and there are ${names.length}`,
      'the labels belong to another model, or --labels to another data set',
    )
  }
  const [x = 0, y = 0, width = 0, height = 0] = numbers
  if (numbers.length === 4) return { label, box: [x - width / 2, y - height / 2, width, height] }
  const xs = numbers.filter((_, place) => place % 2 === 0)
  const ys = numbers.filter((_, place) => place % 2 === 1)
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  return { label, box: [left, top, Math.max(...xs) - left, Math.max(...ys) - top] }
}

type VocObject = {
  readonly name?: unknown
  readonly bndbox?: Readonly<Record<'xmin' | 'ymin' | 'xmax' | 'ymax', unknown>>
}

/** Boxes of a VOC file, in pixels from 1 with both ends included. */
function vocBoxes(text: string, image: string, what: string): Truth[] {
  const refuse = (why: string, cause?: unknown): never => {
    throw new Failure(`Cannot read labels "${what}": ${why}`, undefined, { cause })
  }
  if (text.includes('<!DOCTYPE')) refuse('it has a document type, which is not read')
  let annotation: { size?: { width?: unknown; height?: unknown }; object?: VocObject | VocObject[] }
  try {
    annotation = new XMLParser({ processEntities: false }).parse(text, true).annotation ?? {}
  } catch (cause) {
    return refuse('it is not XML', cause)
  }
  const width = Number(annotation.size?.width)
  const height = Number(annotation.size?.height)
  if (!(width > 0 && height > 0)) refuse('it does not say the size of its image')
  return [annotation.object ?? []].flat().map(({ name, bndbox }, index) => {
    const [xmin, ymin, xmax, ymax] = [bndbox?.xmin, bndbox?.ymin, bndbox?.xmax, bndbox?.ymax].map(
      Number,
    ) as [number, number, number, number]
    if (name === undefined || !(xmax >= xmin) || !(ymax >= ymin)) {
      refuse(`object ${index + 1} has no name, or no box whose ends are in order`)
    }
    const box: Box = [
      (xmin - 1) / width,
      (ymin - 1) / height,
      (xmax - xmin + 1) / width,
      (ymax - ymin + 1) / height,
    ]
    return { image, label: String(name), box }
  })
}

const someOf = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')}, …` : names.join(', ')
