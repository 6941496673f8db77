/**
 * Door to detection without an agent: a model, and images or a camera to look at. Apart from the
 * agent's door because it loads the inference runtime and the decoders.
 * @module
 */
export { openCamera } from '../cameras/open-camera.ts'
export type { DetectOptions, Model, Reading } from '../models/model.ts'
export { openModel } from '../models/open-model.ts'
export { settleRuntime } from '../models/settle-runtimes.ts'
export { chooseRuntime } from '../runtimes/choose.ts'
export { fastestOf } from '../runtimes/measurement.ts'
export { detectCamera } from './detect-camera.ts'
export { detectImages } from './detect-images.ts'
