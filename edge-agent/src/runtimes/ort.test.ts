/** onnxruntime-node keeps the contract of a runtime. */
import { testRuntime } from '../../../test/contracts/runtime.ts'
import { ortRuntime } from './ort.ts'

testRuntime('ortRuntime', ortRuntime)
