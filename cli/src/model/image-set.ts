/**
 * A folder of images as the compiler takes it: which images there are, each with the digest of its bytes, and
 * what people said is in them. The forms that labels come in are read by `datasets`; a data set to learn from goes on
 * past what is wrong in it, whereas figures of a model come from labels that are right or from none.
 */
import { join } from 'node:path'
import type { Truth } from '@edgeloop/model-compiler'
import {
  classOf,
  DatasetError,
  FileTree,
  imageEndings,
  imagesAmong,
  masksOf,
  readVocFile,
  readYoloFile,
  stemOf,
  vocBox,
  vocFilesOf,
  yoloFilesOf,
  yoloNames,
} from '@edgeloop/model-compiler/datasets'
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

/** A folder, read once. */
export class ImageSet {
  readonly folder: string
  readonly images: readonly SetImage[]
  readonly #tree: FileTree

  private constructor(tree: FileTree, images: readonly SetImage[]) {
    this.folder = tree.folder
    this.images = images
    this.#tree = tree
  }

  /** @throws {Failure} when there is no such folder, no image in it, or too much */
  static async open(folder: string): Promise<ImageSet> {
    const tree = await orFailure(() => FileTree.open(folder))
    const chosen = imagesAmong(tree.files)
    if (chosen.length === 0) {
      throw new Failure(
        `Cannot read images of "${folder}": no file in it ends in ${imageEndings.join(' ')}`,
      )
    }
    const images = chosen.map((name) => ({ name, file: join(folder, name) }))
    return new ImageSet(tree, images)
  }

  /**
   * Boxes in YOLO's or VOC's form, as shares of their image; only labels that the model knows.
   * @param labels the model's
   * @throws {Failure} when a file of labels is none, or none of its labels is one of the model's
   */
  async boxes(labels: readonly string[]): Promise<Truths> {
    const found = await orFailure(
      async () => (await this.#yoloBoxes(labels)) ?? (await this.#vocBoxes()),
    )
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
      const label = classOf(name)
      if (label === undefined) continue
      if (labels.includes(label)) of.set(name, label)
      else others.add(label)
    }
    if (of.size > 0) return { kind: 'classes', of }
    if (others.size >= 2) this.#refuseLabels(others, labels)
    return { kind: 'none' }
  }

  /** The mask of each image: `masks/…/NAME.png`. */
  masks(): Truths {
    const pairs = [...masksOf(this.#tree)].map(
      ([name, mask]) => [name, join(this.folder, mask)] as const,
    )
    return pairs.length > 0 ? { kind: 'masks', of: new Map(pairs) } : { kind: 'none' }
  }

  #refuseLabels(has: ReadonlySet<string>, labels: readonly string[]): never {
    throw new Failure(
      `Cannot evaluate with "${this.folder}": none of its labels (${someOf([...has])}) is one of the model's (${someOf(labels)})`,
      'give the labels the model was trained with (--labels), or other images',
    )
  }

  get #imageOf(): ReadonlyMap<string, string> {
    return new Map(this.images.map(({ name }) => [stemOf(name), name]))
  }

  async #yoloBoxes(labels: readonly string[]): Promise<Truth[] | undefined> {
    const files = yoloFilesOf(this.#tree)
    if (files.length === 0) return undefined
    const names = (await yoloNames(this.#tree, files[0]!)) ?? labels
    const imageOf = this.#imageOf
    const boxes: Truth[] = []
    for (const file of files) {
      const { entries, faults } = readYoloFile(await this.#tree.text(file))
      const at = (line: number) => `Cannot read labels "${join(this.folder, file)}": line ${line}`
      for (const { line, text } of faults) throw new Failure(`${at(line)} ${text}`)
      for (const { line, index, box } of entries) {
        const label = names[index]
        if (label === undefined || label === '') {
          throw new Failure(
            `${at(line)} names class ${index}, and there are ${names.length}`,
            'the labels belong to another model, or --labels to another data set',
          )
        }
        boxes.push({ image: imageOf.get(stemOf(file))!, label, box })
      }
    }
    return boxes
  }

  async #vocBoxes(): Promise<Truth[] | undefined> {
    const files = vocFilesOf(this.#tree)
    if (files.length === 0) return undefined
    const imageOf = this.#imageOf
    const boxes: Truth[] = []
    for (const file of files) {
      const refuse = (why: string, cause?: unknown) =>
        new Failure(`Cannot read labels "${join(this.folder, file)}": ${why}`, undefined, { cause })
      const text = await this.#tree.text(file)
      const { size, objects, faults } = await orFailure(
        () => readVocFile(text),
        (error) => refuse(error.message, error),
      )
      if (!size) throw refuse('it does not say the size of its image')
      for (const fault of faults) throw refuse(fault)
      const image = imageOf.get(stemOf(file))!
      boxes.push(
        ...objects.map(({ label, corners }) => ({ image, label, box: vocBox(corners, size) })),
      )
    }
    return boxes
  }
}

/** What `work` gives; what is wrong with a folder is a failure that its user can do something about. */
async function orFailure<T>(
  work: () => T | Promise<T>,
  failureOf = (error: DatasetError) => new Failure(error.message, error.hint, { cause: error }),
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof DatasetError ? failureOf(error) : error
  }
}

const someOf = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')}, …` : names.join(', ')
