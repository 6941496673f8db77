/** Third step of a publication: how the bytes travel, and on which grid their codes lie. */
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EncodingFile } from '@edgeloop/cloud-hub'
import { readModel, tensorTypes, valuesOf } from '@edgeloop/model-compiler'
import { digestOf, encodings } from '@edgeloop/model-compiler/artifact'
import { chunkBytes } from '@edgeloop/protocol'
import type { Encoded, EncodeOrder } from './publish-order.ts'

/** Writes every way the bytes travel as a file of its own. */
export async function encode({ file, bases, out }: EncodeOrder): Promise<Encoded> {
  const bytes = await readFile(file)
  const made = encodings(bytes, await Promise.all(bases.map((base) => readFile(base))))
  const files: EncodingFile[] = []
  for (const { codec, baseDigest, bytes: encoded } of made) {
    const digest = digestOf(encoded)
    const path = join(out, digest)
    await writeFile(path, encoded)
    const chunks = Array.from({ length: Math.ceil(encoded.length / chunkBytes) }, (_, at) =>
      digestOf(encoded.subarray(at * chunkBytes, (at + 1) * chunkBytes)),
    )
    files.push({
      codec,
      ...(baseDigest !== undefined && { baseDigest }),
      digest,
      lengthBytes: encoded.length,
      chunks,
      file: path,
    })
  }
  return { scalesDigest: scalesDigest(bytes), encodings: files }
}

/**
 * Of all scales and zero points in the order of their nodes: versions with the same one have codes on the same grid.
 * Empty where there are no codes.
 */
function scalesDigest(bytes: Uint8Array): string {
  const { graph } = readModel(bytes)
  const constants = new Map((graph?.initializer ?? []).map((tensor) => [tensor.name, tensor]))
  const hash = createHash('sha256')
  let scales = 0
  for (const { opType, input } of graph?.node ?? []) {
    const placesOnly = /^(?:Quantize|Dequantize)Linear$/.test(opType)
    if (!placesOnly && !/^Q(?:Linear|Gemm)/.test(opType)) continue
    for (const [at, name] of input.entries()) {
      const tensor = constants.get(name)
      // The codes themselves have more dimensions, sums of them are wider.
      if (!tensor || tensor.dims.length > 1 || tensor.dataType === tensorTypes.int32) continue
      if (placesOnly && at === 0) continue
      scales++
      const { buffer, byteOffset, byteLength } = valuesOf(tensor)
      hash.update(new Uint8Array(buffer, byteOffset, byteLength))
    }
  }
  return scales === 0 ? '' : hash.digest('hex')
}
