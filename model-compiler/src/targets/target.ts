/**
 * What a target computes with codes, as data: which operators, with which kinds of codes, and where
 * QuantizeLinear and DequantizeLinear have to stand for the runtime there to see it. Adding a target is adding a
 * profile (README, "Adding a target"); the placement knows no target by name.
 */
import type { ChannelBlocks } from '../passes/align-channels.ts'
import type { CodeType } from '../quantize/parameters.ts'

/**
 * What becomes of an operator whose input is quantized.
 * - `weights`: multiplies by constants, which become codes themselves (Conv, Gemm, MatMul)
 * - `own`: inputs and output have parameters of their own (Add, Mul, LeakyRelu, …)
 * - `join`: puts its inputs side by side (Concat); inputs take the output's parameters where that costs nothing
 * - `same`: moves, picks or repeats elements, so the output has the input's parameters (Reshape, MaxPool, …)
 */
export type Treatment = 'weights' | 'own' | 'join' | 'same'

export type TargetProfile = {
  readonly name: string
  readonly about: string
  /** Run on such a target by us, with the figures in the report of the benchmark. */
  readonly verified: boolean
  /** Where what stands here was read or measured. */
  readonly basis: string
  readonly activations: {
    readonly codes: CodeType
    /** As much below zero as above; the zero point is in the middle then. */
    readonly symmetric: boolean
  }
  /** Weights are signed and symmetric everywhere. */
  readonly weights: {
    /** 7 where products of two 8-bit codes are summed in 16 bits (x86 before VNNI), which overflow. */
    readonly bits: 8 | 7
    readonly perChannel: boolean
  }
  /** As codes with scale input × weight, or left as they are. */
  readonly bias: 'int32' | 'float'
  /** False where Q/DQ stand before an operator only, and the runtime decides what it keeps between. */
  readonly outputs: boolean
  /** Whether a Relu or Clip that the codes' own ends make redundant is taken away. */
  readonly foldsClipping: boolean
  /** False: nothing but operators on the way between two with `weights` is quantized, so results keep their precision. */
  readonly ends: boolean
  /** Blocks of channels that its kernels want whole; absent where it does not matter. */
  readonly channelBlocks?: ChannelBlocks
  /** Operators that can be computed with codes; all others stay float. */
  readonly operators: Readonly<Record<string, Treatment>>
}
