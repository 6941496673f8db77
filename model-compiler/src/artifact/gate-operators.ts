/**
 * What a model may compute: the operators of ai.onnx that are arithmetic on tensors and that ONNX Runtime has on every CPU, and of
 * com.microsoft those that our compiler writes. Text, pictures, random numbers, training, whole transformers in one node
 * and what is newer than the runtime stay outside; gate-operators.test.ts holds the list against the table of all operators.
 */

const arithmetic = `
  Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike
  Ceil Celu Clip Cos Cosh CumSum Div Einsum Elu Equal Erf Exp Floor Gelu Gemm Greater GreaterOrEqual HardSigmoid HardSwish Hardmax
  IsInf IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax MatMul MatMulInteger Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow
  Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
  Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Xor Det
`
const layers = `
  AveragePool BatchNormalization Conv ConvInteger ConvTranspose DFT DeformConv Dropout GRU GlobalAveragePool GlobalLpPool
  GlobalMaxPool GroupNormalization InstanceNormalization LRN LSTM LayerNormalization LpNormalization LpPool MaxPool MaxRoiPool
  MaxUnpool MeanVarianceNormalization RMSNormalization RNN RoiAlign STFT
  BlackmanWindow HammingWindow HannWindow MelWeightMatrix
`
const shapes = `
  AffineGrid CenterCropPad Col2Im Compress Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather
  GatherElements GatherND GridSample Identity NonMaxSuppression NonZero OneHot Pad Range Reshape Resize ReverseSequence Scatter
  ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where
`
const codes = 'DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul QuantizeLinear'
/** Exported suppression of overlapping boxes is written with these. */
const flow = `
  If Loop Scan ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
  SplitToSequence
`
const microsoft = `
  DequantizeLinear MatMulNBits QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu
  QLinearMul QLinearSigmoid QuantizeLinear QuickGelu
`

const setOf = (...lists: string[]): ReadonlySet<string> =>
  new Set(lists.flatMap((list) => list.trim().split(/\s+/)))

/** Names of operators by domain; `ai.onnx` is written as the empty one. */
export const gateOperators: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['', setOf(arithmetic, layers, shapes, codes, flow)],
  ['com.microsoft', setOf(microsoft)],
])

/** Operators that hold graphs. */
export const gateHolders: ReadonlySet<string> = new Set(['If', 'Loop', 'Scan'])
