/** `edgeloop bundle import FILE --agent-data DIR`: a bundle straight into the agent of a box that reaches no hub. */
import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { BundleBytes } from '@edgeloop/model-compiler/artifact'
import { careDefaults, careDoubts, type UpdateCare } from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { Failure } from '../failure.ts'
import { jsonOption, number } from '../options.ts'
import { formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

const minuteMs = 60_000

export type CarryCommandOptions = {
  agentData: string
  shadow?: number
  probation?: number
  json?: boolean
}

export const agentDataOption = (): Option =>
  new Option(
    '--agent-data <dir>',
    'data folder of the agent on this box, which takes the models up',
  )

/** How carefully the box looks; the same words as of a rollout. */
export const withCare = (command: Command): Command =>
  command
    .option(
      '--shadow <minutes>',
      'with --agent-data: time beside the active model (default: 10)',
      number(0, 1440),
    )
    .option(
      '--probation <minutes>',
      'with --agent-data: watched time after it took over (default: 30)',
      number(0, 1440),
    )

/** `bundle` of the program on a box, which knows no hub commands. */
export function boxBundleCommand(): Command {
  const bundle = new Command('bundle').description('Take models that were carried here as a file')
  withCare(
    bundle
      .command('import')
      .argument('<file>')
      .description('give a bundle to the agent of this box')
      .addOption(agentDataOption().makeOptionMandatory())
      .addOption(jsonOption()),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ edgeloop-agent bundle import gate.bundle --agent-data /opt/edgeloop/data',
    )
    .action(carry)
  return bundle
}

/** @throws {Failure} where the box takes nothing of it, with the reason for each model */
export async function carry(file: string, options: CarryCommandOptions): Promise<void> {
  const { carryBundle } = await import('@edgeloop/edge-agent')
  await using handle = await open(file).catch((cause: Error) => {
    throw new Failure(`Cannot read the bundle: ${cause.message}`, undefined, { cause })
  })
  const dataDir = resolve(options.agentData)
  const care = careOf(options)
  const models = await carryBundle({
    dataDir,
    bytes: await bytesOf(handle),
    care,
    signal: stopSignal(),
  })
  const taken = models.filter(({ refused }) => refused === '')
  if (options.json) printJson({ file, models, taken: taken.length })
  else if (models.length > 0) {
    console.log(
      formatTable(models, [
        { title: 'MODEL', of: ({ name, version }) => `${name}/${version}` },
        { title: 'FILE', of: ({ digest }) => digest.slice(0, 12) },
        { title: 'ON THIS BOX', of: ({ refused }) => (refused === '' ? 'is taken up' : refused) },
      ]),
    )
  }
  for (const doubt of careDoubts(care)) process.stderr.write(`${doubt}\n`)
  if (taken.length === 0) throw new Failure(`Cannot use "${file}" here: nothing of it is taken up`)
  process.stderr.write(
    'The agent looks at it as at any update; its log says what became of it. The file is not needed any more\n',
  )
}

function careOf({ shadow, probation }: CarryCommandOptions): UpdateCare {
  return {
    ...careDefaults,
    ...(shadow !== undefined && { shadowMs: Math.round(shadow * minuteMs) }),
    ...(probation !== undefined && { probationMs: Math.round(probation * minuteMs) }),
  }
}

/** A bundle as it lies in a file. */
export async function bytesOf(handle: FileHandle): Promise<BundleBytes> {
  const { size } = await handle.stat()
  return {
    lengthBytes: size,
    read: async (from, length) => {
      const piece = Buffer.alloc(length)
      const { bytesRead } = await handle.read(piece, 0, length, from)
      if (bytesRead < length) throw new Failure('Cannot read the bundle: it became shorter')
      return piece
    },
  }
}
