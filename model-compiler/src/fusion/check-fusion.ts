/**
 * What did the runtime really fuse? A graph with Q and DQ in all the right places is only fast if ONNX Runtime turns
 * each group into one operator on codes. It never says whether it did; a Conv that stayed float computes the same,
 * only slower than before. So the graph it made is written out and every product in it is looked at.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Graph } from '../graph/graph.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import { products, whyFloat } from './why-float.ts'

export type FusionOptions = {
  /** Names of values that were kept float on purpose: what stays float because of them is no fault. */
  readonly keptFloat?: ReadonlySet<string>
}

/** What matters here of a target's profile: `weights` is how it treats a product that it computes with codes. */
export type FusionTarget = {
  readonly name: string
  readonly operators: Readonly<Record<string, string>>
}

export type Unfused = {
  /** As in the model; by its output where it has no name. */
  readonly node: string
  readonly opType: string
  /** A sentence about this node. */
  readonly why: string
  /** Because of `keptFloat`, or because the target does not compute this operator with codes. */
  readonly onPurpose: boolean
}

export type FusionReport = {
  /** Products (Conv, ConvTranspose, MatMul, Gemm) that the runtime computes with codes, those that the file says so included. */
  readonly fused: number
  /** Products that stayed float. */
  readonly unfused: readonly Unfused[]
  /** How many nodes of each operator the runtime made, most frequent first. */
  readonly operators: Readonly<Record<string, number>>
}

/** What the runtime's own operators on codes are called. */
const onCodes: ReadonlySet<string> = new Set([
  ...['QLinearConv', 'QLinearConvTranspose', 'ConvInteger', 'QLinearMatMul', 'QGemm'],
  ...['MatMulInteger', 'MatMulIntegerToFloat', 'DynamicQuantizeMatMul', 'MatMulNBits'],
])

/**
 * Loads a model with Q and DQ and reports what became of its products. It is what the runtime makes on this machine's
 * CPU: signed activations fuse on ARM and not here.
 * @throws {OnnxError} when the runtime refuses the model
 */
export async function checkFusion(
  model: ModelProto,
  target: FusionTarget,
  options: FusionOptions = {},
): Promise<FusionReport> {
  const { keptFloat = new Set<string>() } = options
  const graph = new Graph(model)
  const numbered = numberNodes(graph)
  const made = await whatTheRuntimeMakes(graph.toModel())
  const fused = made.filter(({ opType }) => onCodes.has(opType)).length
  const unfused: Unfused[] = []
  for (const { name, opType } of made) {
    const number = /^product#(\d+)(?!\d)/.exec(name)?.[1]
    if (number === undefined || onCodes.has(opType)) continue
    const { node, wasCalled } = numbered[Number(number)]!
    const reason = whyFloat(graph, node, keptFloat)
    const isTheirs = target.operators[node.opType] === 'weights'
    unfused.push({
      node: wasCalled || (node.output[0] ?? ''),
      opType: node.opType,
      why: isTheirs ? reason.why : `${target.name} computes no ${node.opType} with codes`,
      onPurpose: reason.onPurpose || !isTheirs,
    })
  }
  const counts = Map.groupBy(made, ({ opType }) => opType)
  const operators = [...counts]
    .map(([opType, nodes]) => [opType, nodes.length] as const)
    .toSorted(([, x], [, y]) => y - x)
  return { fused, unfused, operators: Object.fromEntries(operators) }
}

/** @throws {OnnxError} that names every product that stayed float for no purpose */
export function requireFused(report: FusionReport): void {
  const faults = report.unfused.filter(({ onPurpose }) => !onPurpose)
  if (faults.length === 0) return
  const shown = faults.slice(0, 10).map(({ node, opType, why }) => `${opType} "${node}": ${why}`)
  const more = faults.length > shown.length ? `; and ${faults.length - shown.length} more` : ''
  throw new OnnxError(
    `Cannot accept the quantized model: ${faults.length} of ${report.fused + report.unfused.length} products stayed float. ${shown.join('; ')}${more}`,
  )
}

/** Gives each product a name that its fused form will begin with. */
function numberNodes(graph: Graph): { node: NodeProto; wasCalled: string }[] {
  const numbered: { node: NodeProto; wasCalled: string }[] = []
  for (const node of graph.nodes) {
    if (!products.has(node.opType)) continue
    numbered.push({ node, wasCalled: node.name })
    node.name = `product#${numbered.length - 1}`
  }
  return numbered
}

/**
 * Nodes of the graph after all fusions. At level `extended`: what `all` adds is another layout in memory, for which
 * nodes are renamed after values, so that nobody could be told which one stayed float.
 */
async function whatTheRuntimeMakes(model: ModelProto): Promise<readonly NodeProto[]> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-fusion-'))
  try {
    const dumpTo = join(folder, 'made.onnx')
    await using _ = await openSession(writeModel(model), { level: 'extended', dumpTo })
    return readModel(await readFile(dumpTo), { name: 'what the runtime made' }).graph!.node
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
