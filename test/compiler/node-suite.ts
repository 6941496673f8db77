/**
 * The cases of ONNX's own node suite (one operator each, with inputs and outputs), read from their archive
 * in memory, and which of them ONNX Runtime itself passes.
 */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import { material } from '../require.ts'

export type NodeCase = {
  /** `node/test_abs`. */
  readonly name: string
  readonly model: Uint8Array
  /** Files of TensorProto (sequences and optionals in some cases), in the order of the graph's inputs. */
  readonly inputs: readonly Uint8Array[]
  readonly outputs: readonly Uint8Array[]
  /** What ONNX Runtime 1.30 makes of it on the CPU: `pass`, or how it fails. */
  readonly runtime: string
}

/** All 1,473 cases. Needs `material`. */
export async function readNodeSuite(): Promise<readonly NodeCase[]> {
  const results: Record<string, string> = JSON.parse(
    await readFile(`${material}/suites/onnx-node-ort-cpu-1.30-results.json`, 'utf8'),
  )
  const files = new Map<string, Uint8Array>()
  const entries = extract()
  entries.on('entry', (header, stream, next) => {
    const parts: Buffer[] = []
    stream.on('data', (part) => parts.push(part as Buffer))
    stream.on('end', () => {
      if (header.type === 'file') files.set(header.name, Buffer.concat(parts))
      next()
    })
  })
  const archive = `${material}/suites/onnx-backend-node-tests.tar.gz`
  await pipeline(createReadStream(archive), createGunzip(), entries)
  return [...files.keys()]
    .filter((path) => path.endsWith('/model.onnx'))
    .toSorted()
    .map((path) => {
      const folder = path.slice(0, -'/model.onnx'.length)
      const name = folder.replace('onnx/backend/test/data/', '')
      return {
        name,
        model: files.get(path)!,
        inputs: numbered(files, `${folder}/test_data_set_0/input_`),
        outputs: numbered(files, `${folder}/test_data_set_0/output_`),
        runtime: results[name] ?? 'not listed',
      }
    })
}

function numbered(files: ReadonlyMap<string, Uint8Array>, prefix: string): Uint8Array[] {
  const found: Uint8Array[] = []
  for (let at = 0; ; at++) {
    const file = files.get(`${prefix}${at}.pb`)
    if (!file) return found
    found.push(file)
  }
}
