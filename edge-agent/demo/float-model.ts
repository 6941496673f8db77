/** The float form of the demo's detector: what int8 was made from, and what compiling is shown with. No box gets it. */
import { fileURLToPath } from 'node:url'
import type { ModelSource } from '../src/models/model.ts'

export const demoFloatModel: ModelSource = {
  name: 'conveyor-float',
  file: fileURLToPath(new URL('./conveyor-float.onnx', import.meta.url)),
}
