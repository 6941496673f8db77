/**
 * The fitted detector as an ONNX model in the `yolox` layout: bytes of the canvas in, one row a cell out.
 * What the layout leaves to the model happens in the graph: byte to number, planes, the local maximum
 * that keeps one cell a part, and the sigmoids.
 */
import { type ModelProto, model, node, tensor, value } from '@edgeloop/model-compiler'
import type { Calibration } from './calibrate.ts'
import { type Detector, headOutputs, labelCount, stride } from './fit.ts'
import type { Convolution } from './maps.ts'
import { canvasHeight, canvasWidth } from './training-frames.ts'

const columns = canvasWidth / stride
const rows = canvasHeight / stride

export function detectorGraph(
  detector: Detector,
  calibration: Calibration,
  metadata: Readonly<Record<string, string>>,
): ModelProto {
  const { filters, pieces } = detector
  // The sigmoids' slopes and shifts are folded into the last layer.
  const close = calibrated(detector.close, calibration)
  const wide = calibrated({ ...detector.wide }, calibration, false)
  const halve = { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }
  return model({
    name: 'conveyor',
    metadata,
    inputs: [value('frame', 'uint8', [1, canvasHeight, canvasWidth, 3])],
    outputs: [value('detections', 'float32', [1, rows * columns, headOutputs])],
    nodes: [
      node('Cast', ['frame'], ['numbers'], { to: { int: 1 } }),
      node('Transpose', ['numbers'], ['planes'], { perm: { ints: [0, 3, 1, 2] } }),
      convolution('planes', 'filters', filters),
      node('Relu', ['filters'], ['edges']),
      node('AveragePool', ['edges'], ['near'], halve),
      convolution('near', 'pieces', pieces),
      node('Relu', ['pieces'], ['seen']),
      node('AveragePool', ['seen'], ['seen.half'], halve),
      node('AveragePool', ['near'], ['near.half'], halve),
      node('Concat', ['seen.half', 'near.half'], ['all'], { axis: { int: 1 } }),
      convolution('all', 'close', close),
      convolution('seen.half', 'wide', wide),
      node('Add', ['close', 'wide'], ['head']),
      node('Split', ['head', 'parts'], ['box', 'presence', 'labels'], { axis: { int: 1 } }),
      // A cell counts where none around it is surer, so that neighbours cannot say two labels.
      node('MaxPool', ['presence'], ['surest'], {
        kernel_shape: { ints: [3, 3] },
        pads: { ints: [1, 1, 1, 1] },
      }),
      node('GreaterOrEqual', ['presence', 'surest'], ['peak']),
      node('Cast', ['peak'], ['peak.number'], { to: { int: 1 } }),
      node('Sigmoid', ['presence'], ['presence.share']),
      node('Mul', ['presence.share', 'peak.number'], ['objectness']),
      node('Sigmoid', ['labels'], ['labels.share']),
      node('Concat', ['box', 'objectness', 'labels.share'], ['map'], { axis: { int: 1 } }),
      node('Reshape', ['map', 'shape'], ['rows']),
      node('Transpose', ['rows'], ['detections'], { perm: { ints: [0, 2, 1] } }),
    ],
    initializers: [
      ...weightsOf('filters', filters),
      ...weightsOf('pieces', pieces),
      ...weightsOf('close', close),
      ...weightsOf('wide', wide),
      tensor('parts', [3], BigInt64Array.of(4n, 1n, BigInt(labelCount))),
      tensor('shape', [3], BigInt64Array.of(1n, BigInt(headOutputs), -1n)),
    ],
  })
}

function convolution(input: string, name: string, { kernel, dilation, stride }: Convolution) {
  const pad = dilation * (kernel >> 1)
  return node('Conv', [input, `${name}.weights`, `${name}.biases`], [name], {
    kernel_shape: { ints: [kernel, kernel] },
    pads: { ints: [pad, pad, pad, pad] },
    strides: { ints: [stride, stride] },
    dilations: { ints: [dilation, dilation] },
  })
}

function weightsOf(name: string, { outputs, inputs, kernel, weights, biases }: Convolution) {
  return [
    tensor(`${name}.weights`, [outputs, inputs, kernel, kernel], weights),
    tensor(`${name}.biases`, [outputs], biases),
  ]
}

/** The convolution whose presence and labels are ready for a sigmoid. */
function calibrated(
  convolution: Convolution,
  { presence, label }: Calibration,
  shifted = true,
): Convolution {
  const weights = convolution.weights.slice()
  const biases = convolution.biases.slice()
  const length = weights.length / convolution.outputs
  for (let output = 4; output < convolution.outputs; output++) {
    const { slope, shift } = output === 4 ? presence : label
    for (let i = 0; i < length; i++) weights[output * length + i]! *= slope
    biases[output] = biases[output]! * slope + (shifted ? shift : 0)
  }
  return { ...convolution, weights, biases }
}
