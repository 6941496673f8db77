/** `edgeloop delta …`: one file told by another, by hand. A hub makes and boxes apply the same bytes by themselves. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import { jsonOption } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = { out: string; json?: boolean; tensors?: boolean }

export function deltaCommand(): Command {
  const delta = new Command('delta')
    .description('the difference between two versions of a model, or of any file')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop delta make gate-3.onnx gate-4.onnx -o gate-3-4.delta
  $ ./edgeloop delta apply gate-3.onnx gate-3-4.delta -o gate-4.onnx
  $ ./edgeloop delta stat gate-3.onnx gate-4.onnx --tensors`,
    )
  delta
    .command('make')
    .argument('<old>', 'file that the receiver has')
    .argument('<new>', 'file that it shall have')
    .description('write the bytes that turn the one into the other')
    .requiredOption('-o, --out <file>', 'the delta')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop delta make old.onnx new.onnx -o new.delta')
    .action(make)
  delta
    .command('apply')
    .argument('<old>', 'file that the delta was made against')
    .argument('<patch>', 'delta')
    .description('make the new file; it appears only once its digest fits')
    .requiredOption('-o, --out <file>', 'the new file')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop delta apply old.onnx new.delta -o new.onnx')
    .action(apply)
  delta
    .command('stat')
    .argument('<old>', 'file that the receiver has')
    .argument('<new>', 'file that it shall have')
    .description('how large the difference is, beside what other tools make of it')
    .option('--tensors', 'what each tensor took, the largest first')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop delta stat old.onnx new.onnx --tensors')
    .action(stat)
  return delta
}

async function make(old: string, next: string, { out, json }: Options): Promise<void> {
  const { digestOf, makeDelta } = await import('@edgeloop/model-compiler/artifact')
  const [from, to] = [await read(old), await read(next)]
  const begun = performance.now()
  const patch = makeDelta(from, to)
  const encodeMs = Math.round(performance.now() - begun)
  await put(out, patch)
  const [baseDigest, digest] = [digestOf(from), digestOf(to)]
  if (json) printJson({ file: out, sizeBytes: patch.length, baseDigest, digest, encodeMs })
  else console.log(`${out}: ${bytes(patch.length)} make ${bytes(to.length)} (${digest})`)
}

async function apply(old: string, patchFile: string, { out, json }: Options): Promise<void> {
  const { ArtifactError, applyDelta, readDeltaHead } = await import(
    '@edgeloop/model-compiler/artifact'
  )
  const [base, patch] = [await read(old), await read(patchFile)]
  const begun = performance.now()
  let made: Uint8Array
  let digest: string
  try {
    // By hand nobody has signed a manifest: the delta says itself what it makes.
    const head = readDeltaHead(patch)
    digest = head.digest
    made = applyDelta(base, patch, head)
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error
    const hint =
      error.code === 'wrong-base' ? 'take the file that the delta was made against' : undefined
    throw new Failure(`Cannot apply "${patchFile}" to "${old}": ${error.message}`, hint, {
      cause: error,
    })
  }
  const applyMs = Math.round(performance.now() - begun)
  await put(out, made)
  if (json) printJson({ file: out, sizeBytes: made.length, digest, applyMs })
  else console.log(`${out}: ${bytes(made.length)} (${digest})`)
}

async function stat(old: string, next: string, { json, tensors }: Options): Promise<void> {
  const { applyDelta, digestOf, statDelta } = await import('@edgeloop/model-compiler/artifact')
  const { otherTools } = await import('../delta/other-tools.ts')
  const [from, to] = [await read(old), await read(next)]
  const begun = performance.now()
  const found = statDelta(from, to)
  const statMs = performance.now() - begun
  const applied = performance.now()
  applyDelta(from, found.patch, { lengthBytes: to.length, digest: digestOf(to) })
  const applyMs = Math.round(performance.now() - applied)
  const others = await otherTools(from, to, stopSignal())
  const rows = [
    { name: `ours (${found.method})`, bytes: found.patch.length as number | undefined },
    { name: 'zstd with the old file as dictionary', bytes: found.zstdBaseBytes },
    { name: 'zstd of the new file', bytes: found.zstdBytes },
    ...others,
  ]
  const list = found.tensors.toSorted((a, b) => b.bits - a.bits)
  if (json) {
    printJson({
      oldBytes: from.length,
      newBytes: to.length,
      method: found.method,
      applyMs,
      allMs: Math.round(statMs),
      sizes: rows.map(({ name, bytes: size }) => ({ name, bytes: size ?? null })),
      ...(tensors && { tensors: list }),
    })
    return
  }
  console.log(
    formatTable(rows, [
      { title: 'METHOD', of: ({ name }) => name },
      { title: 'BYTES', of: ({ bytes: size }) => size ?? 'not installed', right: true },
      {
        title: 'OF THE NEW FILE',
        of: ({ bytes: size }) =>
          size === undefined ? '' : `${((100 * size) / Math.max(1, to.length)).toFixed(2)} %`,
        right: true,
      },
    ]),
  )
  console.log(`\n${bytes(to.length)} from ${bytes(from.length)}; applied in ${applyMs} ms.`)
  if (tensors) {
    console.log(
      `\n${formatTable(list, [
        { title: 'TENSOR', of: ({ name }) => name.replace(/^:/, '').replace(/#\d+$/, '') },
        { title: 'MODE', of: ({ mode }) => mode },
        { title: 'BYTES', of: ({ lengthBytes }) => lengthBytes, right: true },
        { title: 'IN THE DELTA', of: ({ bits }) => (bits / 8).toFixed(1), right: true },
      ])}`,
    )
  }
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(file))
  } catch (cause) {
    throw new Failure(`Cannot read "${file}": ${(cause as Error).message}`, undefined, { cause })
  }
}

/** A file that appears whole or not at all. */
async function put(file: string, content: Uint8Array): Promise<void> {
  const draft = `${file}.${process.pid}.draft`
  try {
    await writeFile(draft, content)
    await rename(draft, file)
  } catch (cause) {
    const why = (cause as Error).message
    throw new Failure(`Cannot write "${file}": ${why}`, undefined, { cause })
  } finally {
    await rm(draft, { force: true })
  }
}
