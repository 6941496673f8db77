/** Small nets for small pictures: digits, signs, states of a lamp. */

import type { BuildSettings } from './index.ts'
import { Net } from './net.ts'

/** Two convolutions and two dense layers. */
export function mnistCnn({ classes, channels, height, width, scale, seed }: BuildSettings) {
  const net = new Net('mnist-cnn', [channels, height, width], seed)
  const wide = (count: number) => Math.max(1, Math.round(count * scale))
  let x = net.input
  for (const [i, count] of [32, 64].entries()) {
    const convolved = net.convolution(`conv${i + 1}`, x, wide(count), { bias: true })
    x = net.maxPool(`pool${i + 1}`, net.activation(`conv${i + 1}.act`, convolved, 'relu'))
  }
  const hidden = net.dense('dense1', net.flatten('flat', x), wide(128))
  const head = net.dense('dense2', net.activation('dense1.act', hidden, 'relu'), classes, 0.5)
  return net.toModel({ output: head })
}

/** LeNet-5 (LeCun et al., 1998) with ReLU and the largest of four instead of their mean. */
export function lenet({ classes, channels, height, width, scale, seed }: BuildSettings) {
  const net = new Net('lenet', [channels, height, width], seed)
  const wide = (count: number) => Math.max(1, Math.round(count * scale))
  let x = net.convolution('conv1', net.input, wide(6), { kernel: 5, pad: 2, bias: true })
  x = net.maxPool('pool1', net.activation('conv1.act', x, 'relu'))
  x = net.convolution('conv2', x, wide(16), { kernel: 5, pad: 0, bias: true })
  x = net.flatten('flat', net.maxPool('pool2', net.activation('conv2.act', x, 'relu')))
  for (const [i, count] of [120, 84].entries()) {
    x = net.activation(`dense${i + 1}.act`, net.dense(`dense${i + 1}`, x, wide(count)), 'relu')
  }
  return net.toModel({ output: net.dense('dense3', x, classes, 0.5) })
}
