/** Which inputs a graph has, and in which shapes: the free dimensions of a file are fixed here for one use. */
import { nearestName } from '@edgeloop/protocol/nearest'
import type { Graph } from '../graph/graph.ts'
import type { Dimension } from '../graph/value-type.ts'
import { OnnxError } from '../onnx/read.ts'
import { shapeText } from './dimensions.ts'
import { inferTypes } from './infer-types.ts'

const dimensionMax = 2 ** 31 - 1

/**
 * Gives inputs the shapes in which the graph will be used, and infers all others anew. A free dimension that is
 * fixed at one input is fixed at all of the same name.
 * @param shapes by name of the input; a dimension may stay free under a name
 * @throws {OnnxError} for an input that is not there, a shape that is none, or one that the graph cannot take (the
 * graph is then not to be used)
 */
export function setInputShapes(
  graph: Graph,
  shapes: Readonly<Record<string, readonly (number | string)[]>>,
): void {
  const before = new Set(inferTypes(graph).faults)
  const fixed = new Map<string, Dimension>()
  for (const [name, shape] of Object.entries(shapes)) {
    checkShape(graph, name, shape)
    for (const [axis, dimension] of graph.typeOf(name)!.shape?.entries() ?? []) {
      if (typeof dimension === 'string') fixed.set(dimension, shape[axis])
    }
  }
  for (const { name } of graph.requiredInputs) {
    const type = graph.typeOf(name)
    if (!type) continue
    const named = (dimension: Dimension) =>
      typeof dimension === 'string' ? (fixed.get(dimension) ?? dimension) : dimension
    const shape = Object.hasOwn(shapes, name) ? shapes[name] : type.shape?.map(named)
    graph.setInterface(name, { elementType: type.elementType, shape })
  }
  graph.forgetShapes()
  const { faults } = inferTypes(graph)
  const fault = faults.find((one) => !before.has(one))
  if (fault !== undefined) {
    const asked = Object.entries(shapes).map(([name, shape]) => `"${name}" ${shapeText(shape)}`)
    throw new OnnxError(`Cannot give the model the shapes ${asked.join(', ')}: ${fault}`)
  }
  for (const { name } of graph.outputs) {
    const type = graph.typeOf(name)
    if (type && type.elementType !== 0) graph.setInterface(name, type)
  }
}

function checkShape(graph: Graph, name: string, shape: readonly (number | string)[]): void {
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot give input "${name}" the shape ${shapeText(shape)}: ${why}`)
  }
  const names = graph.requiredInputs.map((one) => one.name)
  if (!names.includes(name)) {
    const near = nearestName(name, names)
    refuse(
      near === undefined
        ? `the model has no such input; it has ${names.join(', ')}`
        : `the model has no such input; did you mean "${near}"?`,
    )
  }
  const wrong = shape.find(
    (one) => typeof one === 'number' && !(Number.isInteger(one) && one >= 0 && one <= dimensionMax),
  )
  if (wrong !== undefined) refuse(`${wrong} is no length`)
  const type = graph.typeOf(name)
  if (!type) refuse('it is no tensor')
  if (type?.shape && type.shape.length !== shape.length) {
    refuse(`the model wants ${type.shape.length} dimensions, ${shapeText(type.shape)}`)
  }
}

/**
 * Takes initializers off the list of inputs, where files before IR 4 had to name them and where they mean
 * since then that a caller may give another value, which no caller here does. They become constants.
 * @returns how many
 */
export function dropInitializerInputs(graph: Graph): number {
  const listed = graph.inputs.filter(({ name }) => graph.initializers.has(name))
  for (const { name } of listed) graph.removeInput(name)
  if (listed.length > 0 && graph.irVersion < 4) graph.irVersion = 4
  return listed.length
}
