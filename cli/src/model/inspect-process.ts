/**
 * Looks into a model that somebody sent to a hub, and opens it as a box would. Started by `runInChild`, which ends
 * it when it exceeds its limits.
 */
import { readFile } from 'node:fs/promises'
import type { Inspected } from '@edgeloop/cloud-hub'
import { openModel, ortRuntime } from '@edgeloop/edge-agent/detect'
import { inspect, readModel } from '@edgeloop/model-compiler'
import { answerOrder } from '@edgeloop/model-compiler/compile'
import { Failure } from '../failure.ts'
import type { InspectOrder } from './compile-order.ts'

/** Faults that are named; one is enough to refuse. */
const faultsNamed = 5

answerOrder<InspectOrder, never, Inspected>(async (order) => {
  const { file } = order
  const found = inspect(readModel(await readFile(file), { name: file }))
  const { inputs, outputs, opsets, parameters, faults } = found
  if (faults.length > 0) {
    const more = faults.length > faultsNamed ? `; and ${faults.length - faultsNamed} more` : ''
    throw new Failure(
      `Cannot use the model "${file}": ${faults.slice(0, faultsNamed).join('; ')}${more}`,
    )
  }
  await using model = await openModel({ name: file, ...order }, ortRuntime)
  return {
    labels: [...model.labels],
    inspection: {
      inputs: inputs.map((port) => ({ ...port, shape: port.shape && [...port.shape] })),
      outputs: outputs.map((port) => ({ ...port, shape: port.shape && [...port.shape] })),
      opset: opsets[''] ?? opsets['ai.onnx'] ?? 1,
      parameters,
      macs: found.macsUnknown > 0 ? null : found.macs,
      operators: { ...found.operators },
      warnings: [...found.warnings],
    },
  }
})
