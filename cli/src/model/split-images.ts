/** Which images calibrate and which evaluate: never the same picture, and the same ones every time. */
import { createHash } from 'node:crypto'
import { digestOfFile } from '@edgeloop/model-compiler/datasets'
import { Failure } from '../failure.ts'
import type { SetImage } from './image-set.ts'

export type Split = {
  readonly calibrate: readonly SetImage[]
  readonly evaluate: readonly SetImage[]
  /** Images that were given for evaluation and are among those for calibration too. */
  readonly leftOut: number
}

/** With fewer, ranges and accuracy are chance. */
export const imagesMin = 8
/** More calibration images change ranges little and cost memory and time in proportion. */
export const calibrateMax = 200
/** Evaluation takes most of the time of a compilation. */
export const evaluateMax = 1000

/**
 * @param evaluate where there are none, the images of `calibrate` are split in halves
 * @param seed orders them; the names of the files play no role
 * @throws {Failure} when there are too few for either
 */
export async function splitImages(
  calibrate: readonly SetImage[],
  evaluate: readonly SetImage[] | undefined,
  seed: number,
): Promise<Split> {
  const mine = await shuffled(calibrate, seed)
  if (!evaluate) {
    // What is the same picture twice stands together, so the cut is moved behind it.
    let half = Math.min(calibrateMax, mine.length >> 1)
    while (half < mine.length && mine[half]?.digest === mine[half - 1]?.digest) half++
    const [first, rest] = [mine.slice(0, half), mine.slice(half, half + evaluateMax)]
    if (first.length < imagesMin || rest.length < imagesMin) {
      throw new Failure(
        `Cannot split ${mine.length} images into those that calibrate and those that evaluate: at least ${2 * imagesMin} different ones are needed`,
        'give more images to --calibrate, or others to --evaluate',
      )
    }
    return { calibrate: first.map(imageOf), evaluate: rest.map(imageOf), leftOut: 0 }
  }
  if (mine.length < imagesMin) {
    throw new Failure(
      `Cannot calibrate with ${mine.length} image${mine.length === 1 ? '' : 's'}: at least ${imagesMin} are needed`,
      'give --calibrate a folder with images of what the camera will see',
    )
  }
  const used = new Set(mine.map(({ digest }) => digest))
  const theirs = await shuffled(evaluate, seed)
  const held = theirs.filter(({ digest }) => !used.has(digest))
  if (held.length < imagesMin) {
    const why =
      held.length < theirs.length
        ? `${theirs.length - held.length} of ${theirs.length} are among those that calibrate, ${held.length} are left`
        : `there are ${held.length}`
    throw new Failure(
      `Cannot evaluate: ${why}, and at least ${imagesMin} are needed`,
      'give --evaluate other images, or leave it out to split those of --calibrate',
    )
  }
  return {
    calibrate: mine.slice(0, calibrateMax).map(imageOf),
    evaluate: held.slice(0, evaluateMax).map(imageOf),
    leftOut: theirs.length - held.length,
  }
}

type Ordered = { readonly image: SetImage; readonly digest: string; readonly place: string }

const imageOf = ({ image }: Ordered): SetImage => image

async function shuffled(images: readonly SetImage[], seed: number): Promise<Ordered[]> {
  const ordered: Ordered[] = []
  for (const image of images) {
    const digest = await digestOfFile(image.file)
    const place = createHash('sha256').update(`${seed} ${digest}`).digest('hex')
    ordered.push({ image, digest, place })
  }
  return ordered.sort((a, b) => (a.place < b.place ? -1 : a.place > b.place ? 1 : 0))
}
