/** `edgeloop model …`: models before they go to a box. What one is, as numbers and as text, is here; compiling is in files of its own. */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Graph, Inspection, ModelProto } from '@edgeloop/model-compiler'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import { jsonOption } from '../options.ts'
import { bytes, formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { compareCommand } from './model-compare.ts'
import { compileCommand } from './model-compile.ts'
import { evaluateCommand } from './model-evaluate.ts'
import { explainCommand } from './model-explain.ts'
import { foldCommand } from './model-fold.ts'
import { addPublishCommands } from './model-publish.ts'
import { addRegistryCommands } from './model-registry.ts'

type Options = { json?: boolean; trace?: boolean }

/** The operator set that compiling brings a model to before its passes run. */
const tracedOpset = 13

export function modelCommand(): Command {
  const model = new Command('model')
    .description(
      'look at models, make them smaller and faster, compare them, and keep them in a hub',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model inspect detector.onnx
  $ ./edgeloop model graph detector.onnx | less -S
  $ ./edgeloop model add detector.onnx --layout yolox --labels coco      to the hub
  $ ./edgeloop model list
  $ ./edgeloop model publish detector                                    for boxes, signed`,
    )
  model
    .command('inspect')
    .argument('<file>', 'ONNX model')
    .description('inputs, outputs, operators, parameters, work, and what is wrong')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop model inspect detector.onnx --json')
    .action(inspectFile)
  model
    .command('graph')
    .argument('<file>', 'ONNX model')
    .description('the graph as text: one line per node, with the types of what it makes')
    .option('--trace', 'optimize it, and print it again after each pass that has changed something')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  $ ./edgeloop model graph detector.onnx\n  $ ./edgeloop model graph detector.onnx --trace',
    )
    .action(showGraph)
  for (const make of [
    compileCommand,
    compareCommand,
    evaluateCommand,
    explainCommand,
    foldCommand,
  ]) {
    model.addCommand(make())
  }
  addRegistryCommands(model)
  addPublishCommands(model)
  return model
}

async function inspectFile(file: string, { json }: Options): Promise<void> {
  const { inspect } = await import('@edgeloop/model-compiler')
  const { model, sizeBytes } = await read(file)
  const found = inspect(model)
  if (json) printJson({ file, sizeBytes, ...found })
  else printInspection(found, sizeBytes)
  if (found.faults.length > 0) {
    throw new Failure(`"${basename(file)}" has faults and cannot be compiled`)
  }
}

function printInspection(found: Inspection, sizeBytes: number): void {
  const sets = Object.entries(found.opsets).map(([domain, version]) =>
    domain === '' ? `operator set ${version}` : `${plain(domain)} ${version}`,
  )
  console.log(
    `${sets.join(', ')} · IR ${found.irVersion} · ${plain(found.producer) || 'producer unknown'}`,
  )
  console.log(
    [
      `${found.nodes} nodes`,
      `${count(found.parameters)} parameters (${bytes(found.weightBytes)})`,
      `${found.macsUnknown > 0 ? 'at least ' : ''}${count(found.macs)} MACs`,
      bytes(sizeBytes),
    ].join(' · '),
  )
  const ports = [
    ...found.inputs.map((port) => ({ kind: 'input', ...port })),
    ...found.outputs.map((port) => ({ kind: 'output', ...port })),
  ]
  console.log(
    `\n${formatTable(ports, [
      { title: 'PORT', of: ({ kind }) => kind },
      { title: 'NAME', of: ({ name }) => name },
      { title: 'TYPE', of: ({ type }) => type },
      { title: 'SHAPE', of: ({ shape }) => shape?.map((one) => one ?? '?').join('×') ?? '?' },
    ])}`,
  )
  console.log(
    `\n${formatTable(Object.entries(found.operators), [
      { title: 'OPERATOR', of: ([name]) => name },
      { title: 'NODES', of: ([, nodes]) => nodes, right: true },
    ])}`,
  )
  for (const warning of found.warnings) process.stderr.write(`warning: ${plain(warning)}\n`)
  for (const fault of found.faults) process.stderr.write(`fault: ${plain(fault)}\n`)
}

/** `941887` as `941.9 k`. */
function count(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T']
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3))
  return `${unit === 0 ? value : (value / 1000 ** unit).toFixed(1)}${units[unit]}`
}

async function showGraph(file: string, { json, trace }: Options): Promise<void> {
  const compiler = await import('@edgeloop/model-compiler')
  const { model } = await read(file)
  const graph = new compiler.Graph(model)
  const { faults } = compiler.inferTypes(graph)
  const show = (step: string) => {
    if (json) return printJson({ ...(trace && { step }), ...described(graph, compiler), faults })
    if (trace) console.log(`\n== ${step}`)
    for (const line of compiler.graphLines(graph)) console.log(line)
  }
  show('as it is in the file')
  if (trace) {
    const signal = stopSignal()
    compiler.verify(model, { name: basename(file) })
    compiler.dropInitializerInputs(graph)
    const changed = graph.opset < tracedOpset ? compiler.upgradeOpset(graph, tracedOpset) : 0
    if (changed > 0) show(`operator set ${tracedOpset}: ${changed} nodes`)
    await compiler.optimize(graph, {
      signal,
      trace: ({ pass, round, changes }) => {
        compiler.inferTypes(graph)
        show(`${pass}, round ${round}: ${changes} places`)
      },
    })
  }
  for (const fault of faults) process.stderr.write(`fault: ${plain(fault)}\n`)
}

function described(graph: Graph, compiler: typeof import('@edgeloop/model-compiler')) {
  const value = (name: string) => {
    const type = graph.typeOf(name)
    return {
      name,
      type: type ? compiler.tensorTypeName(type.elementType) : null,
      shape: type?.shape?.map((one) => one ?? null) ?? null,
    }
  }
  return {
    opset: graph.opset,
    inputs: graph.requiredInputs.map(({ name }) => value(name)),
    outputs: graph.outputs.map(({ name }) => value(name)),
    nodes: graph.nodes.map((node) => ({
      name: node.name,
      domain: node.domain,
      operator: node.opType,
      inputs: node.input,
      outputs: node.output.map(value),
      attributes: Object.fromEntries(
        node.attribute.map((attribute) => [attribute.name, compiler.attributeText(attribute)]),
      ),
    })),
  }
}

async function read(file: string): Promise<{ model: ModelProto; sizeBytes: number }> {
  const { readModelFile } = await import('@edgeloop/model-compiler')
  const model = await readModelFile(file, { signal: stopSignal() })
  return { model, sizeBytes: (await stat(file)).size }
}
