/**
 * Door to detection without an agent: a model, images or a camera to look at, and the process that models are watched in. Apart from the
 * agent's door because it loads the inference runtime and the decoders.
 * @module
 */
export { openCamera } from '../cameras/open-camera.ts'
export type { Description } from '../models/description.ts'
export { readDescription } from '../models/description-file.ts'
export type { ClassPicture, DetectOptions, Model, Reading } from '../models/model.ts'
export { openModel } from '../models/open-model.ts'
export { settleRuntime } from '../models/settle-runtimes.ts'
export { chooseRuntime } from '../runtimes/choose.ts'
export { fastestOf } from '../runtimes/measurement.ts'
export { ortRuntime } from '../runtimes/ort.ts'
export type { Tensor, Tensors } from '../runtimes/runtime.ts'
export { type WatchedProcess, watchProcess } from '../update/watched-process.ts'
export { detectCamera } from './detect-camera.ts'
export { detectImages } from './detect-images.ts'
export { looksOfImage } from './image-looks.ts'
export {
  type CanvasImage,
  ImageError,
  type ImageFile,
  imageEndings,
  imageSize,
  listImages,
  type PixelImage,
  placeImage,
  readClassMask,
  readImage,
} from './images.ts'
