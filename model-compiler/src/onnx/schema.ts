/**
 * The messages of ONNX, said once: this table is both the protobuf descriptor that reads and writes
 * files and the TypeScript types of what was read. Names and numbers are those of onnx.proto (ONNX
 * 1.19, proto2 rules: every field knows whether it was set, repeated numbers are unpacked unless said).
 * Fields that are not listed are kept as unknown fields and written back.
 */
import { create, createFileRegistry, type Message } from '@bufbuild/protobuf'
import type { GenMessage } from '@bufbuild/protobuf/codegenv2'
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'

const scalars = {
  int32: FieldDescriptorProto_Type.INT32,
  int64: FieldDescriptorProto_Type.INT64,
  uint64: FieldDescriptorProto_Type.UINT64,
  float: FieldDescriptorProto_Type.FLOAT,
  double: FieldDescriptorProto_Type.DOUBLE,
  string: FieldDescriptorProto_Type.STRING,
  bytes: FieldDescriptorProto_Type.BYTES,
} as const

/** Number and type; `[]` repeats, `[packed]` repeats packed, a third entry names the oneof. */
type Field = readonly [number: number, type: string, oneof?: string]

/**
 * Enumerations are read as int32, which is the same on the wire and keeps values that we do not know.
 * Nested messages carry a flat name (TypeProto.Tensor is TensorType), as names do not travel.
 */
const messages = {
  ModelProto: {
    ir_version: [1, 'int64'],
    producer_name: [2, 'string'],
    producer_version: [3, 'string'],
    domain: [4, 'string'],
    model_version: [5, 'int64'],
    doc_string: [6, 'string'],
    graph: [7, 'GraphProto'],
    opset_import: [8, 'OperatorSetIdProto[]'],
    metadata_props: [14, 'StringStringEntryProto[]'],
    training_info: [20, 'TrainingInfoProto[]'],
    functions: [25, 'FunctionProto[]'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  TrainingInfoProto: {
    initialization: [1, 'GraphProto'],
    algorithm: [2, 'GraphProto'],
    initialization_binding: [3, 'StringStringEntryProto[]'],
    update_binding: [4, 'StringStringEntryProto[]'],
  },
  FunctionProto: {
    name: [1, 'string'],
    input: [4, 'string[]'],
    output: [5, 'string[]'],
    attribute: [6, 'string[]'],
    node: [7, 'NodeProto[]'],
    doc_string: [8, 'string'],
    opset_import: [9, 'OperatorSetIdProto[]'],
    domain: [10, 'string'],
    attribute_proto: [11, 'AttributeProto[]'],
    value_info: [12, 'ValueInfoProto[]'],
    overload: [13, 'string'],
    metadata_props: [14, 'StringStringEntryProto[]'],
  },
  GraphProto: {
    node: [1, 'NodeProto[]'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto[]'],
    doc_string: [10, 'string'],
    input: [11, 'ValueInfoProto[]'],
    output: [12, 'ValueInfoProto[]'],
    value_info: [13, 'ValueInfoProto[]'],
    quantization_annotation: [14, 'TensorAnnotation[]'],
    sparse_initializer: [15, 'SparseTensorProto[]'],
    metadata_props: [16, 'StringStringEntryProto[]'],
  },
  TensorAnnotation: {
    tensor_name: [1, 'string'],
    quant_parameter_tensor_names: [2, 'StringStringEntryProto[]'],
  },
  NodeProto: {
    input: [1, 'string[]'],
    output: [2, 'string[]'],
    name: [3, 'string'],
    op_type: [4, 'string'],
    attribute: [5, 'AttributeProto[]'],
    doc_string: [6, 'string'],
    domain: [7, 'string'],
    overload: [8, 'string'],
    metadata_props: [9, 'StringStringEntryProto[]'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    g: [6, 'GraphProto'],
    floats: [7, 'float[]'],
    ints: [8, 'int64[]'],
    strings: [9, 'bytes[]'],
    tensors: [10, 'TensorProto[]'],
    graphs: [11, 'GraphProto[]'],
    doc_string: [13, 'string'],
    tp: [14, 'TypeProto'],
    type_protos: [15, 'TypeProto[]'],
    type: [20, 'int32'],
    ref_attr_name: [21, 'string'],
    sparse_tensor: [22, 'SparseTensorProto'],
    sparse_tensors: [23, 'SparseTensorProto[]'],
  },
  ValueInfoProto: {
    name: [1, 'string'],
    type: [2, 'TypeProto'],
    doc_string: [3, 'string'],
    metadata_props: [4, 'StringStringEntryProto[]'],
  },
  TensorProto: {
    dims: [1, 'int64[]'],
    data_type: [2, 'int32'],
    segment: [3, 'TensorSegment'],
    float_data: [4, 'float[packed]'],
    int32_data: [5, 'int32[packed]'],
    string_data: [6, 'bytes[]'],
    int64_data: [7, 'int64[packed]'],
    name: [8, 'string'],
    raw_data: [9, 'bytes'],
    double_data: [10, 'double[packed]'],
    uint64_data: [11, 'uint64[packed]'],
    doc_string: [12, 'string'],
    external_data: [13, 'StringStringEntryProto[]'],
    data_location: [14, 'int32'],
    metadata_props: [16, 'StringStringEntryProto[]'],
  },
  TensorSegment: { begin: [1, 'int64'], end: [2, 'int64'] },
  SparseTensorProto: {
    values: [1, 'TensorProto'],
    indices: [2, 'TensorProto'],
    dims: [3, 'int64[]'],
  },
  TypeProto: {
    tensor_type: [1, 'TensorType', 'value'],
    sequence_type: [4, 'SequenceType', 'value'],
    map_type: [5, 'MapType', 'value'],
    opaque_type: [7, 'OpaqueType', 'value'],
    sparse_tensor_type: [8, 'TensorType', 'value'],
    optional_type: [9, 'SequenceType', 'value'],
    denotation: [6, 'string'],
  },
  TensorType: { elem_type: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  SequenceType: { elem_type: [1, 'TypeProto'] },
  MapType: { key_type: [1, 'int32'], value_type: [2, 'TypeProto'] },
  OpaqueType: { domain: [1, 'string'], name: [2, 'string'] },
  TensorShapeProto: { dim: [1, 'Dimension[]'] },
  Dimension: {
    dim_value: [1, 'int64', 'value'],
    dim_param: [2, 'string', 'value'],
    denotation: [3, 'string'],
  },
} as const satisfies Record<string, Record<string, Field>>

type Messages = typeof messages
type MessageName = keyof Messages
type Fields = Record<string, Field>

type CamelCase<S> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<CamelCase<B>>}` : S

type ScalarTypes = {
  int32: number
  int64: bigint
  uint64: bigint
  float: number
  double: number
  string: string
  bytes: Uint8Array
}

type One<T> = T extends keyof ScalarTypes
  ? ScalarTypes[T]
  : T extends MessageName
    ? Shape<T>
    : never

type OneofNames<F extends Fields> = {
  [K in keyof F]: F[K] extends readonly [number, string, infer O extends string] ? O : never
}[keyof F]

type Member<F extends Fields, O extends string> = {
  [K in keyof F]: F[K] extends readonly [number, infer T, O]
    ? { case: CamelCase<K>; value: One<T> }
    : never
}[keyof F]

type Plain<F extends Fields> = {
  -readonly [K in keyof F as F[K] extends readonly [number, string] ? K : never]: F[K][1]
}

type Shape<N extends MessageName> = Message<`onnx.${N}`> & {
  // Repeated fields are always there; scalars answer their default when not set (see isFieldSet).
  -readonly [K in keyof Plain<Messages[N]> as Plain<Messages[N]>[K] extends MessageName
    ? never
    : CamelCase<K & string>]: Plain<Messages[N]>[K] extends `${infer T}[${string}]`
    ? One<T>[]
    : One<Plain<Messages[N]>[K]>
} & {
  -readonly [K in keyof Plain<Messages[N]> as Plain<Messages[N]>[K] extends MessageName
    ? CamelCase<K & string>
    : never]?: One<Plain<Messages[N]>[K]>
} & {
  -readonly [O in OneofNames<Messages[N]>]:
    | Member<Messages[N], O>
    | { case: undefined; value?: undefined }
}

export type ModelProto = Shape<'ModelProto'>
export type GraphProto = Shape<'GraphProto'>
export type NodeProto = Shape<'NodeProto'>
export type AttributeProto = Shape<'AttributeProto'>
export type TensorProto = Shape<'TensorProto'>
export type ValueInfoProto = Shape<'ValueInfoProto'>
export type TypeProto = Shape<'TypeProto'>
export type FunctionProto = Shape<'FunctionProto'>
export type SparseTensorProto = Shape<'SparseTensorProto'>

const onnx = createFileRegistry(describe(), () => undefined)

export const ModelProtoSchema = schema('ModelProto')
export const GraphProtoSchema = schema('GraphProto')
export const NodeProtoSchema = schema('NodeProto')
export const AttributeProtoSchema = schema('AttributeProto')
export const TensorProtoSchema = schema('TensorProto')
export const ValueInfoProtoSchema = schema('ValueInfoProto')
export const TypeProtoSchema = schema('TypeProto')
export const FunctionProtoSchema = schema('FunctionProto')
export const SparseTensorProtoSchema = schema('SparseTensorProto')
export const OperatorSetIdProtoSchema = schema('OperatorSetIdProto')
export const StringStringEntryProtoSchema = schema('StringStringEntryProto')
export const TensorTypeSchema = schema('TensorType')
export const TensorShapeProtoSchema = schema('TensorShapeProto')
export const DimensionSchema = schema('Dimension')

function schema<N extends MessageName>(name: N): GenMessage<Shape<N>> {
  const description = onnx.getMessage(`onnx.${name}`)
  if (description === undefined) throw new Error(`Cannot find message "onnx.${name}"`)
  // The type and the description come from the same row of the table above.
  return description as unknown as GenMessage<Shape<N>>
}

function describe() {
  return create(FileDescriptorProtoSchema, {
    name: 'onnx.proto',
    package: 'onnx',
    syntax: 'proto2',
    messageType: Object.entries(messages).map(([name, fields]) => {
      const rows: [string, Field][] = Object.entries(fields)
      const oneofs = [...new Set(rows.flatMap(([, [, , oneof]]) => oneof ?? []))]
      return {
        name,
        oneofDecl: oneofs.map((oneof) => ({ name: oneof })),
        field: rows.map(([field, [number, type, oneof]]) => {
          const element = type.replace(/\[.*/, '')
          return {
            name: field,
            number,
            label: type.endsWith(']')
              ? FieldDescriptorProto_Label.REPEATED
              : FieldDescriptorProto_Label.OPTIONAL,
            ...(element in scalars
              ? { type: scalars[element as keyof typeof scalars] }
              : { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.onnx.${element}` }),
            ...(type.endsWith('[packed]') && { options: { packed: true } }),
            ...(oneof !== undefined && { oneofIndex: oneofs.indexOf(oneof) }),
          }
        }),
      }
    }),
  })
}
