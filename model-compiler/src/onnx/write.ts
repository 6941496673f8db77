/** A model to bytes. What `readModel` read comes out as it went in, unknown fields included. */
import { toBinary } from '@bufbuild/protobuf'
import { type ModelProto, ModelProtoSchema } from './schema.ts'

/** The bytes of an ONNX file. Fields are written by number, what is unknown after them. */
export function writeModel(model: ModelProto): Uint8Array {
  return toBinary(ModelProtoSchema, model)
}
