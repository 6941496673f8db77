/**
 * Door to data sets: opening them in the forms that tools write, splitting, checking and writing them. Apart from the
 * compiler's door because it loads libvips.
 * @module
 */
export {
  type Annotation,
  type Box,
  type Dataset,
  type MaskAnnotation,
  type Picture,
  type Point,
  type Sample,
  type Split,
  type SplitName,
  splitNames,
} from './dataset.ts'
export { DatasetError } from './dataset-error.ts'
export { type DuplicateOptions, type Duplicates, findDuplicates, nearCopies } from './duplicates.ts'
export { type Exported, type ExportOptions, exportDataset } from './export-dataset.ts'
export { digestOfFile, FileTree } from './file-tree.ts'
export { classOf, masksOf } from './formats/folders.ts'
export { blobName, type FrozenHead, writeFrozen } from './formats/frozen.ts'
export { readVocFile, vocBox, vocFilesOf } from './formats/voc.ts'
export { readYoloFile, yoloFilesOf, yoloNames } from './formats/yolo.ts'
export { canonicalJson, datasetDigest, frozenLines } from './frozen-list.ts'
export { imageEndings, imagesAmong, stemOf } from './image-names.ts'
export {
  type Inspection,
  type InspectOptions,
  inspectDataset,
  type LabelFigures,
  type StreamFigures,
} from './inspect.ts'
export {
  type DatasetFormat,
  type DatasetParts,
  datasetFormats,
  datasetOf,
  type OpenOptions,
  openDataset,
} from './open-dataset.ts'
export { boxAround, type Outlined, outlinedOf } from './outlines.ts'
export { decodePicture, type PictureSource, readImageFile } from './pictures.ts'
export { type Problem, type ProblemKind, Problems, problemKinds, problemText } from './problems.ts'
export {
  digestsOf,
  foldDataset,
  growSplit,
  readHoldout,
  type SplitOptions,
  type SplitUnit,
  splitDataset,
  splitUnits,
} from './split.ts'
export { thumbnailSize, writeThumbnails } from './thumbnails.ts'
