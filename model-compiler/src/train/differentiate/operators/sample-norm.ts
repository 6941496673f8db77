/** What brings the elements of one sample to a common mean and deviation. */
import type { Lowering, LoweringTable } from '../lowering.ts'

/** The runtime gives mean and inverse deviation out, so that the way back computes neither again. */
const layerNorm: Lowering = (node, context) => {
  const { tape } = context
  const x = context.read(node.input[0])
  const scale = context.read(node.input[1])
  const bias = context.has(node, 2) ? context.read(node.input[2]) : undefined
  const said = context.int(node, 'axis', -1)
  const axis = said < 0 ? said + x.shape.length : said
  const [y, mean, inverse] = tape.emitSeveral('LayerNormalization', [x, scale, bias], 3, {
    axis: { int: axis },
    epsilon: { float: context.float(node, 'epsilon', 1e-5) },
  })
  const axes = [...x.shape.keys().drop(axis)]
  const average = (sym: typeof x) => tape.reduceMean(sym, axes, true)
  const inputs = bias ? [x, scale, bias] : [x, scale]
  const result = tape.record(inputs, y!, (d) => {
    const normal = tape.mul(tape.sub(x, mean!), inverse!)
    const dx = () => {
      const scaled = tape.mul(d, scale)
      const along = tape.mul(normal, average(tape.mul(scaled, normal)))
      return tape.mul(tape.sub(tape.sub(scaled, average(scaled)), along), inverse!)
    }
    return [
      x.needsGradient ? dx() : undefined,
      scale.needsGradient ? tape.sumTo(tape.mul(d, normal), scale.shape) : undefined,
      ...(bias ? [bias.needsGradient ? tape.sumTo(d, bias.shape) : undefined] : []),
    ]
  })
  context.write(node.output[0], result)
}

/** Each channel of each sample by itself: written out, as the runtime gives nothing of it out. */
const instanceNorm: Lowering = (node, context) => {
  const { tape } = context
  const layout = context.layoutOf(node.input[0])
  const x = context.read(node.input[0], layout)
  const axes = [...x.shape.keys().drop(2)]
  const perChannel = (at: number) => {
    const vector = context.read(node.input[at])
    const ones = axes.map(() => 1)
    return tape.reshape(
      vector,
      layout === 'CN' ? [vector.shape[0]!, 1, ...ones] : [1, vector.shape[0]!, ...ones],
    )
  }
  const centred = tape.sub(x, tape.reduceMean(x, axes, true))
  const variance = tape.reduceMean(tape.mul(centred, centred), axes, true)
  const deviation = tape.sqrt(tape.add(variance, context.float(node, 'epsilon', 1e-5)))
  const scaled = tape.mul(centred, tape.div(perChannel(1), deviation))
  context.write(node.output[0], tape.add(scaled, perChannel(2)), layout)
}

export const sampleNorms: LoweringTable = {
  LayerNormalization: layerNorm,
  InstanceNormalization: instanceNorm,
}
