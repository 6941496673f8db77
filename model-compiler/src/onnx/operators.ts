/**
 * The operators of ONNX as facts: since which versions of their domain, how many inputs and outputs, and the types of
 * their attributes (of all versions together). A negative version is one with which the operator went away.
 */

const onnx = {
  Abs: '1 6 13, 1, 1',
  Acos: '7 22, 1, 1',
  Acosh: '9 22, 1, 1',
  Add: '1 6 7 13 14, 2, 1, axis:int broadcast:int',
  AffineGrid: '20, 2, 1, align_corners:int',
  And: '1 7, 2, 1, axis:int broadcast:int',
  ArgMax: '1 11 12 13, 1, 1, axis:int keepdims:int select_last_index:int',
  ArgMin: '1 11 12 13, 1, 1, axis:int keepdims:int select_last_index:int',
  Asin: '7 22, 1, 1',
  Asinh: '9 22, 1, 1',
  Atan: '7 22, 1, 1',
  Atanh: '9 22, 1, 1',
  Attention:
    '23 24 25, 3-7, 1-4, is_causal:int kv_num_heads:int left_window_size:int q_num_heads:int qk_matmul_output_mode:int right_window_size:int scale:float softcap:float softmax_precision:int',
  AveragePool:
    '1 7 10 11 19 22, 1, 1, auto_pad:string ceil_mode:int count_include_pad:int dilations:ints kernel_shape:ints pads:ints strides:ints',
  BatchNormalization:
    '1 6 7 9 14 15, 5, 1-5, epsilon:float is_test:int momentum:float spatial:int training_mode:int',
  Bernoulli: '15 22, 1, 1, dtype:int seed:float',
  BitCast: '26, 1, 1, to:int',
  BitShift: '11 28, 2, 1, direction:string',
  BitwiseAnd: '18, 2, 1',
  BitwiseNot: '18, 1, 1',
  BitwiseOr: '18, 2, 1',
  BitwiseXor: '18, 2, 1',
  BlackmanWindow: '17, 1, 1, output_datatype:int periodic:int',
  Cast: '1 6 9 13 19 21 23 24 25 28, 1, 1, round_mode:string saturate:int to:string|int',
  CastLike: '15 19 21 23 24 25, 2, 1, round_mode:string saturate:int',
  CausalConvWithState: '27, 2-4, 2, activation:string',
  Ceil: '1 6 13, 1, 1',
  Celu: '12 28, 1, 1, alpha:float',
  CenterCropPad: '18, 2, 1, axes:ints',
  Clip: '1 6 11 12 13, 1-3, 1, max:float min:float',
  Col2Im: '18, 3, 1, dilations:ints pads:ints strides:ints',
  Compress: '9 11 28, 2, 1, axis:int',
  Concat: '1 4 11 13, 1+, 1, axis:int',
  ConcatFromSequence: '11, 1, 1, axis:int new_axis:int',
  Constant:
    '1 9 11 12 13 19 21 23 24 25, 0, 1, sparse_value:sparse value:tensor value_float:float value_floats:floats value_int:int value_ints:ints value_string:string value_strings:strings',
  ConstantOfShape: '9 20 21 23 24 25, 1, 1, value:tensor',
  Conv: '1 11 22, 2-3, 1, auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints',
  ConvInteger:
    '10, 2-4, 1, auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints',
  ConvTranspose:
    '1 11 22, 2-3, 1, auto_pad:string dilations:ints group:int kernel_shape:ints output_padding:ints output_shape:ints pads:ints strides:ints',
  Cos: '7 22, 1, 1',
  Cosh: '9 22, 1, 1',
  CumProd: '26, 2, 1, exclusive:int reverse:int',
  CumSum: '11 14, 2, 1, exclusive:int reverse:int',
  DFT: '17 20, 1-3, 1, axis:int inverse:int onesided:int',
  DeformConv:
    '19 22, 3-5, 1, dilations:ints group:int kernel_shape:ints offset_group:int pads:ints strides:ints',
  DepthToSpace: '1 11 13 28, 1, 1, blocksize:int mode:string',
  DequantizeLinear: '10 13 19 21 23 24 25 28, 2-3, 1, axis:int block_size:int output_dtype:int',
  Det: '11 22, 1, 1',
  Div: '1 6 7 13 14, 2, 1, axis:int broadcast:int',
  Dropout: '1 6 7 10 12 13 22, 1-3, 1-2, is_test:int ratio:float seed:int',
  DynamicQuantizeLinear: '11, 1, 3',
  Einsum: '12 28, 1+, 1, equation:string',
  Elu: '1 6 22, 1, 1, alpha:float',
  Equal: '1 7 11 13 19, 2, 1, axis:int broadcast:int',
  Erf: '9 13, 1, 1',
  Exp: '1 6 13, 1, 1',
  Expand: '8 13, 2, 1',
  EyeLike: '9 22, 1, 1, dtype:int k:int',
  Flatten: '1 9 11 13 21 23 24 25, 1, 1, axis:int',
  Floor: '1 6 13, 1, 1',
  GRU: '1 3 7 14 22, 3-6, 0-2, activation_alpha:floats activation_beta:floats activations:strings clip:float direction:string hidden_size:int layout:int linear_before_reset:int output_sequence:int',
  Gather: '1 11 13, 2, 1, axis:int',
  GatherElements: '11 13, 2, 1, axis:int',
  GatherND: '11 12 13, 2, 1, batch_dims:int',
  Gelu: '20, 1, 1, approximate:string',
  Gemm: '1 6 7 9 11 13, 2-3, 1, alpha:float beta:float broadcast:int transA:int transB:int',
  GlobalAveragePool: '1 22, 1, 1',
  GlobalLpPool: '1 2 22, 1, 1, p:float|int',
  GlobalMaxPool: '1 22, 1, 1',
  Greater: '1 7 9 13, 2, 1, axis:int broadcast:int',
  GreaterOrEqual: '12 16, 2, 1',
  GridSample: '16 20 22, 2, 1, align_corners:int mode:string padding_mode:string',
  GroupNormalization: '21 -18, 3, 1, epsilon:float num_groups:int stash_type:int',
  HammingWindow: '17, 1, 1, output_datatype:int periodic:int',
  HannWindow: '17, 1, 1, output_datatype:int periodic:int',
  HardSigmoid: '1 6 22, 1, 1, alpha:float beta:float',
  HardSwish: '14 22, 1, 1',
  Hardmax: '1 11 13, 1, 1, axis:int',
  Identity: '1 13 14 16 19 21 23 24 25, 1, 1',
  If: '1 11 13 16 19 21 23 24 25, 1, 1+, else_branch:graph then_branch:graph',
  ImageDecoder: '20, 1, 1, pixel_format:string',
  InstanceNormalization: '1 6 22, 3, 1, epsilon:float',
  IsInf: '10 20, 1, 1, detect_negative:int detect_positive:int',
  IsNaN: '9 13 20, 1, 1',
  LRN: '1 13, 1, 1, alpha:float beta:float bias:float size:int',
  LSTM: '1 7 14 22, 3-8, 0-3, activation_alpha:floats activation_beta:floats activations:strings clip:float direction:string hidden_size:int input_forget:int layout:int output_sequence:int',
  LayerNormalization: '17, 2-3, 1-3, axis:int epsilon:float stash_type:int',
  LeakyRelu: '1 6 16, 1, 1, alpha:float',
  Less: '1 7 9 13, 2, 1, axis:int broadcast:int',
  LessOrEqual: '12 16, 2, 1',
  LinearAttention:
    '27, 3-6, 2, chunk_size:int kv_num_heads:int q_num_heads:int scale:float update_rule:string',
  Log: '1 6 13, 1, 1',
  LogSoftmax: '1 11 13, 1, 1, axis:int',
  Loop: '1 11 13 16 19 21 23 24 25, 0+, 1+, body:graph',
  LpNormalization: '1 22, 1, 1, axis:int p:int',
  LpPool:
    '1 2 11 18 22, 1, 1, auto_pad:string ceil_mode:int dilations:ints kernel_shape:ints p:float|int pads:ints strides:ints',
  MatMul: '1 9 13, 2, 1',
  MatMulInteger: '10, 2-4, 1',
  Max: '1 6 8 12 13, 1+, 1',
  MaxPool:
    '1 8 10 11 12 22, 1, 1-2, auto_pad:string ceil_mode:int dilations:ints kernel_shape:ints pads:ints storage_order:int strides:ints',
  MaxRoiPool: '1 22, 2, 1, pooled_shape:ints spatial_scale:float',
  MaxUnpool: '9 11 22, 2-3, 1, kernel_shape:ints pads:ints strides:ints',
  Mean: '1 6 8 13, 1+, 1',
  MeanVarianceNormalization: '9 13, 1, 1, axes:ints',
  MelWeightMatrix: '17, 5, 1, output_datatype:int',
  Min: '1 6 8 12 13, 1+, 1',
  Mish: '18 22, 1, 1',
  Mod: '10 13 28, 2, 1, fmod:int',
  Mul: '1 6 7 13 14, 2, 1, axis:int broadcast:int',
  Multinomial: '7 22, 1, 1, dtype:int sample_size:int seed:float',
  Neg: '1 6 13, 1, 1',
  NegativeLogLikelihoodLoss: '12 13 22, 2-3, 1, ignore_index:int reduction:string',
  NonMaxSuppression: '10 11, 2-5, 1, center_point_box:int',
  NonZero: '9 13, 1, 1',
  Not: '1, 1, 1',
  OneHot: '9 11 28, 3, 1, axis:int',
  Optional: '15 28, 0-1, 1, type:type',
  OptionalGetElement: '15 18 28, 1, 1',
  OptionalHasElement: '15 18 28, 0-1, 1',
  Or: '1 7, 2, 1, axis:int broadcast:int',
  PRelu: '1 6 7 9 16, 2, 1',
  Pad: '1 2 11 13 18 19 21 23 24 25, 1-4, 1, mode:string paddings:ints pads:ints value:float',
  Pow: '1 7 12 13 15, 2, 1, axis:int broadcast:int',
  QLinearConv:
    '10, 8-9, 1, auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints',
  QLinearMatMul: '10 21, 8, 1',
  QuantizeLinear:
    '10 13 19 21 23 24 25 28, 2-3, 1, axis:int block_size:int output_dtype:int precision:int saturate:int',
  RMSNormalization: '23, 2, 1, axis:int epsilon:float stash_type:int',
  RNN: '1 7 14 22, 3-6, 0-2, activation_alpha:floats activation_beta:floats activations:strings clip:float direction:string hidden_size:int layout:int output_sequence:int',
  RandomNormal: '1 22, 0, 1, dtype:int mean:float scale:float seed:float shape:ints',
  RandomNormalLike: '1 22, 1, 1, dtype:int mean:float scale:float seed:float',
  RandomUniform: '1 22, 0, 1, dtype:int high:float low:float seed:float shape:ints',
  RandomUniformLike: '1 22, 1, 1, dtype:int high:float low:float seed:float',
  Range: '11 27, 3, 1, stash_type:int',
  Reciprocal: '1 6 13, 1, 1',
  ReduceL1: '1 11 13 18, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceL2: '1 11 13 18, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceLogSum: '1 11 13 18 28, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceLogSumExp: '1 11 13 18 28, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceMax: '1 11 12 13 18 20, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceMean: '1 11 13 18, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceMin: '1 11 12 13 18 20, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceProd: '1 11 13 18, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceSum: '1 11 13, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  ReduceSumSquare: '1 11 13 18, 1-2, 1, axes:ints keepdims:int noop_with_empty_axes:int',
  RegexFullMatch: '20, 1, 1, pattern:string',
  Relu: '1 6 13 14, 1, 1',
  Reshape: '1 5 13 14 19 21 23 24 25, 1-2, 1, allowzero:int shape:ints',
  Resize:
    '10 11 13 18 19, 1-4, 1, antialias:int axes:ints coordinate_transformation_mode:string cubic_coeff_a:float exclude_outside:int extrapolation_value:float keep_aspect_ratio_policy:string mode:string nearest_mode:string',
  ReverseSequence: '10 28, 2, 1, batch_axis:int time_axis:int',
  RoiAlign:
    '10 16 22, 3, 1, coordinate_transformation_mode:string mode:string output_height:int output_width:int sampling_ratio:int spatial_scale:float',
  RotaryEmbedding: '23, 3-4, 1, interleaved:int num_heads:int rotary_embedding_dim:int',
  Round: '11 22, 1, 1',
  STFT: '17, 2-4, 1, onesided:int',
  Scan: '8 9 11 16 19 21 23 24 25, 0+, 1+, body:graph directions:ints num_scan_inputs:int scan_input_axes:ints scan_input_directions:ints scan_output_axes:ints scan_output_directions:ints',
  Scatter: '9 -11, 3, 1, axis:int',
  ScatterElements: '11 13 16 18, 3, 1, axis:int reduction:string',
  ScatterND: '11 13 16 18, 3, 1, reduction:string',
  Selu: '1 6 22, 1, 1, alpha:float gamma:float',
  SequenceAt: '11, 2, 1',
  SequenceConstruct: '11, 1+, 1',
  SequenceEmpty: '11, 0, 1, dtype:int',
  SequenceErase: '11, 1-2, 1',
  SequenceInsert: '11, 2-3, 1',
  SequenceLength: '11, 1, 1',
  SequenceMap: '17, 1+, 1+, body:graph',
  Shape: '1 13 15 19 21 23 24 25, 1, 1, end:int start:int',
  Shrink: '9, 1, 1, bias:float lambd:float',
  Sigmoid: '1 6 13, 1, 1',
  Sign: '9 13, 1, 1',
  Sin: '7 22, 1, 1',
  Sinh: '9 22, 1, 1',
  Size: '1 13 19 21 23 24 25, 1, 1',
  Slice: '1 10 11 13, 1-5, 1, axes:ints ends:ints starts:ints',
  Softmax: '1 11 13, 1, 1, axis:int',
  SoftmaxCrossEntropyLoss: '12 13, 2-3, 1-2, ignore_index:int reduction:string',
  Softplus: '1 22, 1, 1',
  Softsign: '1 22, 1, 1',
  SpaceToDepth: '1 13 28, 1, 1, blocksize:int mode:string',
  Split: '1 2 11 13 18, 1-2, 1+, axis:int num_outputs:int split:ints',
  SplitToSequence: '11 24, 1-2, 1, axis:int keepdims:int',
  Sqrt: '1 6 13, 1, 1',
  Squeeze: '1 11 13 21 23 24 25, 1-2, 1, axes:ints',
  StringConcat: '20, 2, 1',
  StringNormalizer:
    '10, 1, 1, case_change_action:string is_case_sensitive:int locale:string stopwords:strings',
  StringSplit: '20, 1, 2, delimiter:string maxsplit:int',
  Sub: '1 6 7 13 14, 2, 1, axis:int broadcast:int',
  Sum: '1 6 8 13, 1+, 1',
  SwiGLU: '28, 2, 1, alpha:float',
  Swish: '24, 1, 1, alpha:float',
  Tan: '7 22, 1, 1',
  Tanh: '1 6 13, 1, 1',
  TensorScatter: '24, 2-3, 1, axis:int mode:string',
  TfIdfVectorizer:
    '9, 1, 1, max_gram_length:int max_skip_count:int min_gram_length:int mode:string ngram_counts:ints ngram_indexes:ints pool_int64s:ints pool_strings:strings weights:floats',
  ThresholdedRelu: '10 22, 1, 1, alpha:float',
  Tile: '1 6 13, 2-3, 1',
  TopK: '1 10 11 24, 1-2, 2, axis:int k:int largest:int sorted:int',
  Transpose: '1 13 21 23 24 25, 1, 1, perm:ints',
  Trilu: '14, 1-2, 1, upper:int',
  Unique: '11 28, 1, 1-4, axis:int sorted:int',
  Unsqueeze: '1 11 13 21 23 24 25, 1-2, 1, axes:ints',
  Upsample: '1 7 9 -10, 1-2, 1, height_scale:float mode:string scales:floats width_scale:float',
  Where: '9 16, 3, 1',
  Xor: '1 7, 2, 1, axis:int broadcast:int',
} as const

const ml = {
  ArrayFeatureExtractor: '1, 2, 1',
  Binarizer: '1, 1, 1, threshold:float',
  CastMap: '1, 1, 1, cast_to:string map_form:string max_map:int',
  CategoryMapper:
    '1, 1, 1, cats_int64s:ints cats_strings:strings default_int64:int default_string:string',
  DictVectorizer: '1, 1, 1, int64_vocabulary:ints string_vocabulary:strings',
  FeatureVectorizer: '1, 1+, 1, inputdimensions:ints',
  Imputer:
    '1, 1, 1, imputed_value_floats:floats imputed_value_int64s:ints replaced_value_float:float replaced_value_int64:int',
  LabelEncoder:
    '1 2 4, 1, 1, classes_strings:strings default_float:float default_int64:int default_string:string default_tensor:tensor keys_floats:floats keys_int64s:ints keys_strings:strings keys_tensor:tensor values_floats:floats values_int64s:ints values_strings:strings values_tensor:tensor',
  LinearClassifier:
    '1, 1, 2, classlabels_ints:ints classlabels_strings:strings coefficients:floats intercepts:floats multi_class:int post_transform:string',
  LinearRegressor:
    '1, 1, 1, coefficients:floats intercepts:floats post_transform:string targets:int',
  Normalizer: '1, 1, 1, norm:string',
  OneHotEncoder: '1, 1, 1, cats_int64s:ints cats_strings:strings zeros:int',
  SVMClassifier:
    '1, 1, 2, classlabels_ints:ints classlabels_strings:strings coefficients:floats kernel_params:floats kernel_type:string post_transform:string prob_a:floats prob_b:floats rho:floats support_vectors:floats vectors_per_class:ints',
  SVMRegressor:
    '1, 1, 1, coefficients:floats kernel_params:floats kernel_type:string n_supports:int one_class:int post_transform:string rho:floats support_vectors:floats',
  Scaler: '1, 1, 1, offset:floats scale:floats',
  TreeEnsemble:
    '5, 1, 1, aggregate_function:int leaf_targetids:ints leaf_weights:tensor membership_values:tensor n_targets:int nodes_falseleafs:ints nodes_falsenodeids:ints nodes_featureids:ints nodes_hitrates:tensor nodes_missing_value_tracks_true:ints nodes_modes:tensor nodes_splits:tensor nodes_trueleafs:ints nodes_truenodeids:ints post_transform:int tree_roots:ints',
  TreeEnsembleClassifier:
    '1 3 -5, 1, 2, base_values:floats base_values_as_tensor:tensor class_ids:ints class_nodeids:ints class_treeids:ints class_weights:floats class_weights_as_tensor:tensor classlabels_int64s:ints classlabels_strings:strings nodes_falsenodeids:ints nodes_featureids:ints nodes_hitrates:floats nodes_hitrates_as_tensor:tensor nodes_missing_value_tracks_true:ints nodes_modes:strings nodes_nodeids:ints nodes_treeids:ints nodes_truenodeids:ints nodes_values:floats nodes_values_as_tensor:tensor post_transform:string',
  TreeEnsembleRegressor:
    '1 3 -5, 1, 1, aggregate_function:string base_values:floats base_values_as_tensor:tensor n_targets:int nodes_falsenodeids:ints nodes_featureids:ints nodes_hitrates:floats nodes_hitrates_as_tensor:tensor nodes_missing_value_tracks_true:ints nodes_modes:strings nodes_nodeids:ints nodes_treeids:ints nodes_truenodeids:ints nodes_values:floats nodes_values_as_tensor:tensor post_transform:string target_ids:ints target_nodeids:ints target_treeids:ints target_weights:floats target_weights_as_tensor:tensor',
  ZipMap: '1, 1, 1, classlabels_int64s:ints classlabels_strings:strings',
} as const

const training = {
  Adagrad: '1, 3+, 1+, decay_factor:float epsilon:float norm_coefficient:float',
  Adam: '1, 3+, 1+, alpha:float beta:float epsilon:float norm_coefficient:float norm_coefficient_post:float',
  Gradient: '1, 1+, 1+, xs:strings y:string zs:strings',
  Momentum: '1, 3+, 1+, alpha:float beta:float mode:string norm_coefficient:float',
} as const

/** ONNX Runtime's own operators, as far as compiled models meet them; nothing but their names is known here. */
const microsoft = [
  ...['Attention', 'BiasGelu', 'BiasSoftmax', 'DequantizeLinear', 'DynamicQuantizeMatMul'],
  ...['EmbedLayerNormalization', 'FastGelu', 'FusedConv', 'FusedGemm', 'FusedMatMul', 'Gelu'],
  ...['GatherBlockQuantized', 'GroupNorm', 'GroupQueryAttention', 'MatMulBnb4', 'MatMulInteger16'],
  ...['MatMulIntegerToFloat', 'MatMulNBits', 'MultiHeadAttention', 'NhwcConv', 'NhwcFusedConv'],
  ...['NhwcMaxPool', 'Pad', 'QAttention', 'QGemm', 'QLinearAdd', 'QLinearAveragePool'],
  ...['QLinearConcat', 'QLinearConv', 'QLinearGlobalAveragePool', 'QLinearLeakyRelu', 'QLinearMul'],
  ...['QLinearReduceMean', 'QLinearSigmoid', 'QLinearSoftmax', 'QLinearWhere', 'QuantizeLinear'],
  ...['QuickGelu', 'RotaryEmbedding', 'SimplifiedLayerNormalization', 'SkipLayerNormalization'],
  ...['SkipSimplifiedLayerNormalization', 'Trilu', 'Unique'],
]

const domains: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '': onnx,
  'ai.onnx.ml': ml,
  'ai.onnx.preview.training': training,
  'com.microsoft': Object.fromEntries(microsoft.map((name) => [name, '1, 0+, 0+'])),
}

export type OperatorFacts = {
  /** Versions of the domain in which it changed, the first included, oldest first. */
  readonly since: readonly number[]
  /** The version with which it went away, if it did (one operator has come back in another form). */
  readonly until: number | undefined
  /** At least and at most, over all versions. */
  readonly inputs: readonly [min: number, max: number]
  readonly outputs: readonly [min: number, max: number]
  /** Types by name, as `attributeTypes` names them; undefined where none are known (other domains than ONNX's). */
  readonly attributes: ReadonlyMap<string, readonly string[]> | undefined
}

export const knownDomains = (): string[] => Object.keys(domains)
export const knownOperators = (domain: string): string[] => Object.keys(domains[domain] ?? {})

const parsed = new Map<string, OperatorFacts>()

/** @returns undefined for an operator, or a domain, that is not known */
export function operatorFacts(domain: string, opType: string): OperatorFacts | undefined {
  const table = Object.hasOwn(domains, domain) ? domains[domain] : undefined
  if (!table || !Object.hasOwn(table, opType)) return undefined
  const key = `${domain}:${opType}`
  const known = parsed.get(key)
  if (known) return known
  const [versions = '', inputs = '', outputs = '', attributes = ''] = table[opType]!.split(', ')
  const numbers = versions.split(' ').map(Number)
  const gone = numbers.find((version) => version < 0)
  const facts: OperatorFacts = {
    since: numbers.filter((version) => version > 0),
    until: gone === undefined ? undefined : -gone,
    inputs: countsOf(inputs),
    outputs: countsOf(outputs),
    attributes:
      domain === 'com.microsoft'
        ? undefined
        : new Map(
            attributes
              .split(' ')
              .filter(Boolean)
              .map((one) => {
                const [name = '', types = ''] = one.split(':')
                return [name, types.split('|')]
              }),
          ),
  }
  parsed.set(key, facts)
  return facts
}

function countsOf(text: string): [number, number] {
  if (text.endsWith('+')) return [Number.parseInt(text, 10), Number.POSITIVE_INFINITY]
  const [min = '0', max = min] = text.split('-')
  return [Number(min), Number(max)]
}
