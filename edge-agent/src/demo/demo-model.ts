/** The detector that comes with the demo; `edge-agent/demo/train-detector.ts` trained it. */
import { fileURLToPath } from 'node:url'
import type { ModelSource } from '../models/model.ts'

/** Finds the parts of the demo scene; layout, labels and input are in the description beside it. */
export const demoModel: ModelSource = {
  name: 'conveyor',
  file: fileURLToPath(new URL('../../demo/conveyor.onnx', import.meta.url)),
}
