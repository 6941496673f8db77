/** How files of a data set find each other by name: an image, its labels and its mask. */
import { extname } from 'node:path'

/** Endings of files that count as images, in lower case: those the agent takes. */
export const imageEndings = [
  '.jpg',
  '.jpeg',
  '.png',
  '.webp',
  '.gif',
  '.tif',
  '.tiff',
  '.avif',
] as const

const imageFolders: ReadonlySet<string> = new Set(['images', 'jpegimages'])
const labelFolders: ReadonlySet<string> = new Set(['labels', 'annotations', 'masks'])

export const isImageFolder = (name: string): boolean => imageFolders.has(name.toLowerCase())
export const foldersOf = (file: string): string[] => file.split('/').slice(0, -1)

/**
 * The images among files: those below `images/` or `JPEGImages/` where there are such folders, else all that are
 * named like one; masks never.
 */
export function imagesAmong(files: readonly string[]): string[] {
  const pictures = files.filter(
    (file) =>
      imageEndings.some((ending) => file.toLowerCase().endsWith(ending)) &&
      !foldersOf(file).some((name) => name === 'masks' || name === 'labels'),
  )
  const inImages = pictures.filter((file) => foldersOf(file).some(isImageFolder))
  return inImages.length > 0 ? inImages : pictures
}

/** What an image and its labels have in common: the path below `images/` or `labels/`, without the ending. */
export function stemOf(file: string): string {
  const parts = file.slice(0, file.length - extname(file).length).split('/')
  const at = parts.findLastIndex(
    (name) => isImageFolder(name) || labelFolders.has(name.toLowerCase()),
  )
  return parts.slice(at + 1).join('/')
}
