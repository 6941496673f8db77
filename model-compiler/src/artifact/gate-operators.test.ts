import assert from 'node:assert/strict'
import { test } from 'node:test'
import { knownOperators } from '../onnx/operators.ts'
import { gateHolders, gateOperators } from './gate-operators.ts'

test('every operator of ONNX is either taken or refused for a reason', () => {
  const refused = [
    // Text, pictures in files.
    ...['ImageDecoder', 'RegexFullMatch', 'StringConcat', 'StringNormalizer', 'StringSplit'],
    'TfIdfVectorizer',
    // Runs that cannot be repeated.
    ...['Bernoulli', 'Multinomial', 'RandomNormal', 'RandomNormalLike'],
    ...['RandomUniform', 'RandomUniformLike'],
    // Training.
    ...['NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'],
    // Values that are no tensors, and bodies in functions; no exported detector has them.
    ...['Optional', 'OptionalGetElement', 'OptionalHasElement', 'SequenceMap'],
    // Whole transformers in one node.
    ...['Attention', 'LinearAttention', 'RotaryEmbedding', 'TensorScatter', 'CausalConvWithState'],
    // Newer than the runtime.
    ...['BitCast', 'CumProd', 'SwiGLU'],
  ]
  const taken = [...(gateOperators.get('') ?? [])]
  assert.deepEqual([...taken, ...refused].sort(), knownOperators('').sort())
  for (const name of gateHolders) assert.ok(taken.includes(name), name)
})

test('of com.microsoft nothing is taken that is not known', () => {
  const known = knownOperators('com.microsoft')
  for (const name of gateOperators.get('com.microsoft') ?? []) assert.ok(known.includes(name), name)
  assert.deepEqual([...gateOperators.keys()], ['', 'com.microsoft'])
})
