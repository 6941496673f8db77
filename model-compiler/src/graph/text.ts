/**
 * A graph as text that a person reads and a diff compares: one line per node with what it makes, in columns, small
 * constants as their values. Names come from a file, so they are cut and cannot steer a terminal.
 */
import type { AttributeProto, NodeProto, TensorProto } from '../onnx/schema.ts'
import { numberTypeOf, valuesOf } from '../onnx/tensor.ts'
import { attributeTypes, tensorTypeName } from '../onnx/types.ts'
import { shapeText } from '../shapes/dimensions.ts'
import { bodiesOf, type Graph } from './graph.ts'
import type { ValueType } from './value-type.ts'

const nameMax = 60
/** Longer lists are cut. */
const listMax = 8
const depthMax = 16
/** No column is wider than this; what is longer pushes the rest of its line. */
const columnMax = 36

/** The lines of a graph, without line ends. Types are those that the graph knows (see `inferTypes`). */
export function* graphLines(graph: Graph): Generator<string> {
  yield `graph: operator set ${graph.opset}, IR ${graph.irVersion}, ${graph.nodes.length} nodes`
  yield* columns(
    graph.requiredInputs.map(({ name }) => ['input', nameText(name), typeText(graph.typeOf(name))]),
    '',
  )
  yield* nodeLines(graph.nodes, graph, '', 0)
  yield* columns(
    graph.outputs.map(({ name }) => ['output', nameText(name), typeText(graph.typeOf(name))]),
    '',
  )
}

/** `float32 1×3×n`. */
export const typeText = (type: ValueType | undefined): string =>
  type === undefined || type.elementType === 0
    ? `? ${shapeText(type?.shape)}`
    : `${tensorTypeName(type.elementType)} ${shapeText(type.shape)}`

function* nodeLines(
  nodes: readonly NodeProto[],
  graph: Graph,
  indent: string,
  depth: number,
): Generator<string> {
  const rows = nodes.map((node) => [
    node.output.map(nameText).join(', '),
    // Names within a body may be those of the graph around it.
    depth === 0 ? node.output.map((one) => typeText(graph.typeOf(one))).join(', ') : '',
    `${nameText(node.domain === '' ? node.opType : `${node.domain}.${node.opType}`)}(${node.input
      .map((one) => inputText(one, depth === 0 ? graph : undefined))
      .join(', ')})${attributesText(node)}`,
  ])
  const lines = columns(rows, `${indent}  `)
  for (const node of nodes) {
    yield lines.next().value as string
    for (const body of bodiesOf(node)) {
      if (depth >= depthMax) continue
      yield `${indent}    body of ${nameText(node.name)}: ${body.input.map(({ name }) => nameText(name)).join(', ')}`
      yield* nodeLines(body.node, graph, `${indent}    `, depth + 1)
      yield `${indent}    gives ${body.output.map(({ name }) => nameText(name)).join(', ')}`
    }
  }
}

function* columns(rows: readonly (readonly string[])[], indent: string): Generator<string> {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) {
      widths[at] = Math.min(columnMax, Math.max(widths[at] ?? 0, cell.length))
    }
  }
  for (const row of rows) {
    const cells = row.map((cell, at) => (at < row.length - 1 ? cell.padEnd(widths[at]!) : cell))
    yield `${indent}${cells.join('  ')}`.trimEnd()
  }
}

function inputText(name: string, graph: Graph | undefined): string {
  if (name === '') return '-'
  const tensor = graph?.initializers.get(name)
  if (!tensor) return nameText(name)
  const values = valuesText(tensor)
  const type = typeText({ elementType: tensor.dataType, shape: tensor.dims.map(Number) })
  return `${nameText(name)}: ${values === undefined ? type : `${tensorTypeName(tensor.dataType)} ${values}`}`
}

/** The values of a small tensor, or undefined. */
function valuesText(tensor: TensorProto): string | undefined {
  const size = tensor.dims.reduce((product, dim) => product * Number(dim), 1)
  if (size > listMax || tensor.dims.length > 1) return undefined
  if (numberTypeOf(tensor.dataType) === undefined || tensor.externalData.length > 0)
    return undefined
  try {
    const values = Array.from(valuesOf(tensor) as ArrayLike<number | bigint>, numberText)
    return tensor.dims.length === 0 ? values.join() : `[${values.join(' ')}]`
  } catch {
    return 'damaged'
  }
}

function attributesText({ attribute }: NodeProto): string {
  return attribute
    .filter(({ g, graphs }) => !g && graphs.length === 0)
    .map((one) => ` ${nameText(one.name)}=${attributeText(one)}`)
    .join('')
}

/** An attribute's value, lists and text cut. */
export function attributeText(attribute: AttributeProto): string {
  switch (attribute.type) {
    case attributeTypes.int:
      return String(attribute.i)
    case attributeTypes.float:
      return numberText(attribute.f)
    case attributeTypes.string:
      return JSON.stringify(nameText(new TextDecoder().decode(attribute.s.subarray(0, 200))))
    case attributeTypes.ints:
      return listText(attribute.ints)
    case attributeTypes.floats:
      return listText(attribute.floats)
    case attributeTypes.strings:
      return `${attribute.strings.length} strings`
    case attributeTypes.tensor: {
      const { t } = attribute
      if (!t) return 'no tensor'
      return valuesText(t) ?? typeText({ elementType: t.dataType, shape: t.dims.map(Number) })
    }
    default:
      return '…'
  }
}

function listText(values: readonly (number | bigint)[]): string {
  const shown = values.slice(0, listMax).map(numberText).join(' ')
  return values.length > listMax ? `[${shown} … ${values.length}]` : `[${shown}]`
}

const numberText = (value: number | bigint): string =>
  typeof value === 'bigint' ? String(value) : String(Number(value.toPrecision(6)))

/** A name as it may be printed: no control characters, not too long. */
function nameText(name: string): string {
  const cut = name.length > nameMax ? `${name.slice(0, nameMax - 1)}…` : name
  return cut.replace(/\p{C}/gu, '?')
}
