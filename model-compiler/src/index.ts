/**
 * The compiler's door. `readModel(bytes)` gives the protobuf itself, with everything in it that we do not
 * know, and `writeModel(model)` gives the same bytes back; `verify` and `inspect` look at a model without
 * running it. `optimize(graph)` changes one, and asks ONNX Runtime, which is loaded only then.
 */
export { type Sample, type SampleSource, samplesFrom } from './calibrate/samples.ts'
export { cosine, MapOverlap, type Ranked, topAccuracy } from './evaluate/accuracy.ts'
export {
  averagePrecision,
  type Box,
  type Found,
  intersectionOverUnion,
  type MeanAveragePrecision,
  meanAveragePrecision,
  type Truth,
} from './evaluate/average-precision.ts'
export { boxAgreement } from './evaluate/box-agreement.ts'
export {
  type EvaluatedSample,
  type EvaluationReport,
  figuresText,
  type GroupRow,
  type LabelCurve,
  type LabelRow,
  type ReportOptions,
  reportClassification,
  reportDetection,
  reportRegression,
  reportSegmentation,
  type WorstSample,
} from './evaluate/evaluation-report.ts'
export { type FigureName, type Figures, figures, isBetter } from './evaluate/figures.ts'
export { type Evaluation, figuresOf, type Metric, metrics } from './evaluate/metric.ts'
export { Graph } from './graph/graph.ts'
export { type Inspection, inspect } from './graph/inspect.ts'
export { attributeText, graphLines } from './graph/text.ts'
export { verify } from './graph/verify.ts'
export { type Attribute, type ModelParts, model, node, value } from './onnx/build.ts'
export { loadExternalData } from './onnx/external-data.ts'
export { readModelFile, writeModelFile } from './onnx/model-file.ts'
export { modelSizeBytesMax, OnnxError, type ReadOptions, readModel } from './onnx/read.ts'
export type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  TypeProto,
  ValueInfoProto,
} from './onnx/schema.ts'
export { floatsOf, type Numbers, tensor, valuesOf } from './onnx/tensor.ts'
export { attributeTypes, type TensorTypeName, tensorTypeName, tensorTypes } from './onnx/types.ts'
export { writeModel } from './onnx/write.ts'
export { upgradeOpset } from './opset/upgrade.ts'
export { type Difference, difference, differences, type Feeds } from './passes/equivalence.ts'
export { type Decoding, foldDecoding } from './passes/fold-decoding.ts'
export {
  foldPreprocessing,
  type Preprocessing,
  rangesOfBytes,
} from './passes/fold-preprocessing.ts'
export { foldSuppression, type Suppression } from './passes/fold-suppression.ts'
export { floatPasses, int8Passes, quantizedPasses } from './passes/index.ts'
export { type OptimizeOptions, optimize, type PassReport } from './passes/optimize.ts'
export type { Pass } from './passes/pass.ts'
export {
  evaluationPage,
  evaluationSections,
  headline,
  type Section,
} from './report/evaluation-sections.ts'
export type { Value } from './runtime/session.ts'
export { inferTypes } from './shapes/infer-types.ts'
export { dropInitializerInputs, setInputShapes } from './shapes/input-shapes.ts'
export { type TargetName, type TargetProfile, targets } from './targets/index.ts'
