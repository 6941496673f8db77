/** Versions of the demo's detector that nobody should get: what a rollout is shown to stop. */
import { Graph, type ModelProto, tensor, valuesOf } from '@edgeloop/model-compiler'

/** How much less sure the second one is that there is something, before the sigmoid. */
const logitsLess = 7

/** Calls every part by the name of another kind, with the same confidence: as if a list of labels had been mixed up. */
export function mislabelling(model: ModelProto): ModelProto {
  const graph = new Graph(model)
  // Codes, scales and biases of the last convolution have one row for each label.
  for (const [name, { dims }] of graph.initializers) {
    const rows = Number(dims[0] ?? 0)
    if (!name.startsWith('classes.') || rows === 0) continue
    change(graph, name, (_, at, values) => values[(at + values.length / rows) % values.length]!)
  }
  return graph.toModel()
}

/** Overlooks most of what there is: as if it had been trained on pictures of empty belts. */
export function overlooking(model: ModelProto): ModelProto {
  const graph = new Graph(model)
  const [scale = 1] = numbersOf(graph, 'objectness.bias_scale')
  const names = [...graph.initializers.keys()]
  const bias = names.find((name) => name.startsWith('objectness.bias_quantized'))
  if (bias === undefined) throw new Error('Cannot spoil the model: it has no objectness in int8')
  change(graph, bias, (value) => value - Math.round(logitsLess / scale))
  return graph.toModel()
}

type Numbers = Int8Array | Int32Array | Float32Array
// The tensors that are changed here are of these types; see int8-form.ts.
const numbersOf = (graph: Graph, name: string): Numbers =>
  valuesOf(graph.initializers.get(name)!) as Numbers

function change(
  graph: Graph,
  name: string,
  to: (value: number, at: number, values: Numbers) => number,
): void {
  const before = numbersOf(graph, name)
  const after = before.slice()
  for (const [at, value] of before.entries()) after[at] = to(value, at, before)
  const { dims } = graph.initializers.get(name)!
  graph.setInitializer(tensor(name, dims.map(Number), after))
}
