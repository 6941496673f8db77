/** `edgeloop model add|list|show|remove|build`: the models that a hub keeps, and what it compiles of them. */
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { compileImages, type ModelVersion, precisions, type Upload } from '@edgeloop/protocol'
import { type Command, Option } from 'commander'
import { Failure } from '../failure.ts'
import { followJob } from '../follow-job.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { integer, number, withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = HubOptions & { json?: boolean }

/** The hub looks into the file before it answers. */
const addTimeoutMs = 120_000

/** Puts the commands for a hub's models under `model`. */
export function addRegistryCommands(model: Command): void {
  withHub(
    model
      .command('add')
      .argument('<file>', 'ONNX file')
      .description('take a model to the hub, as the next version of its name')
      .requiredOption('--layout <name>', 'how it is fed and read, such as yolox')
      .option('--name <name>', "name in the hub (default: the file's)")
      .option('--labels <file|coco>', 'one label per line, or coco')
      .option(
        '--description <file>',
        'model description; NAME.model.yaml beside the model is found',
      )
      .option('--note <text>', 'what is to be known about it'),
  )
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model add parts.onnx --layout yolox --labels parts.txt --note "week 46"
  $ ./edgeloop model build parts --wait          compile it with pictures of the fleet`,
    )
    .action(
      async (
        file: string,
        options: Options & {
          layout: string
          name?: string
          labels?: string
          description?: string
          note?: string
        },
      ) => {
        const hub = await connectHub(options)
        const added = await addFile(hub, file, options)
        if (options.json) return printJson(added)
        console.log(`${added.name} has version ${added.version} now`)
        for (const warning of added.inspection.warnings) process.stderr.write(`${plain(warning)}\n`)
      },
    )

  withHub(model.command('list').description('list the models of the hub')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('modelList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      if (rows.length === 0) process.stderr.write('No models yet: ./edgeloop model add FILE …\n')
      const now = Date.now()
      console.log(
        formatTable(rows, [
          { title: 'MODEL', of: ({ newest }) => newest.name },
          { title: 'NEWEST', of: ({ newest }) => newest.version, right: true },
          { title: 'LAYOUT', of: ({ newest }) => newest.layout },
          { title: 'LABELS', of: ({ newest }) => newest.labels.length, right: true },
          { title: 'BYTES', of: ({ newest }) => newest.sizeBytes, right: true },
          { title: 'ARTIFACTS', of: (row) => row.artifacts, right: true },
          { title: 'ADDED', of: ({ newest }) => ago(newest.createdAt, now) },
          { title: 'NOTE', of: ({ newest }) => newest.note },
        ]),
      )
    },
  )

  withHub(
    model
      .command('show')
      .argument('<model>', 'NAME for its newest version, or NAME/VERSION')
      .description('show one version of a model and what was compiled of it'),
  ).action(async (named: string, options: Options) => {
    const hub = await connectHub(options)
    const detail = await hub.call('modelShow', { params: await versionOf(hub, named) })
    if (options.json) return printJson(detail)
    const { model: shown, artifacts, versions } = detail
    console.log(`${shown.name}/${shown.version}  ${shown.layout}  ${shown.digest.slice(0, 12)}`)
    if (shown.note) console.log(plain(shown.note))
    console.log(
      `versions ${versions.join(', ')}; ${shown.inspection.parameters} parameters, ${shown.sizeBytes} bytes, opset ${shown.inspection.opset}, ${shown.labels.length} labels`,
    )
    console.log(
      formatTable(
        artifacts.flatMap((artifact) =>
          artifact.candidates.map((candidate) => ({ artifact, candidate })),
        ),
        [
          { title: 'TARGET', of: ({ artifact }) => artifact.target },
          {
            title: 'CANDIDATE',
            of: ({ artifact, candidate }) =>
              candidate.name === artifact.chosen ? `${candidate.name} *` : candidate.name,
          },
          { title: 'BYTES', of: ({ candidate }) => candidate.sizeBytes ?? '', right: true },
          {
            title: 'SPEED',
            of: ({ candidate }) => candidate.latencyRatio?.toFixed(2) ?? '',
            right: true,
          },
          {
            title: 'METRIC',
            of: ({ candidate: { metric } }) =>
              metric ? `${metric.name} ${metric.value.toFixed(3)}` : '',
          },
          { title: 'WHY NOT', of: ({ candidate }) => candidate.refused },
        ],
      ),
    )
  })

  withHub(
    model
      .command('remove')
      .argument('<model>', 'NAME/VERSION')
      .description('remove a version of a model with everything that was compiled of it'),
  ).action(async (named: string, options: Options) => {
    const params = parseVersion(named)
    if (!params) {
      throw new Failure(`Cannot remove "${named}": which version?`, 'write NAME/VERSION')
    }
    const hub = await connectHub(options)
    await hub.call('modelRemove', { params })
    if (options.json) printJson({ ...params, removed: true })
    else console.log(`${named} is removed`)
  })

  withHub(
    model
      .command('build')
      .argument('<model>', 'NAME for its newest version, or NAME/VERSION')
      .description('let the hub compile a model with pictures of the fleet')
      .option('--target <name>', "what it is compiled for (default: the hub's machine)")
      .addOption(
        new Option('--precision <name>', 'what may be chosen').choices(precisions).default('auto'),
      )
      .option('--max-drop <n>', 'largest loss of the metric (default: 0.01)', number(0, 1))
      .option(
        '--pictures <n>',
        'newest snapshots to work with (default: 64)',
        integer(compileImages.min, compileImages.max),
      )
      .option('--new-scales', 'do not keep the scales of what was compiled of an earlier version')
      .option('--wait', 'stay until it is over; Ctrl-C leaves the job running'),
  ).action(
    async (
      named: string,
      options: Options & {
        newScales?: true
        target?: string
        precision: (typeof precisions)[number]
        maxDrop?: number
        pictures?: number
        wait?: true
      },
    ) => {
      const hub = await connectHub(options)
      const params = await versionOf(hub, named)
      const { target, precision, maxDrop, pictures, newScales } = options
      const job = await hub.call('modelCompile', {
        params,
        body: {
          precision,
          ...(target === undefined ? {} : { target }),
          ...(maxDrop === undefined ? {} : { maxDrop }),
          ...(pictures === undefined ? {} : { images: pictures }),
          ...(newScales === undefined ? {} : { newScales }),
        },
      })
      const end = options.wait ? await followJob(hub, job) : job
      if (options.json) printJson(end)
      else console.log(`Job ${end.jobId} is ${end.state}`)
      if (end.state === 'failed') throw new Failure(end.error)
    },
  )

  withHub(
    model
      .command('fetch')
      .argument('<model>', 'NAME for its newest version, or NAME/VERSION')
      .description('fetch what was compiled last, or the original')
      .requiredOption('-o, --out <file>', 'where the ONNX file is written')
      .option('--target <name>', 'what was compiled for this target')
      .option('--original', 'the file as it was added'),
  ).action(
    async (named: string, options: Options & { out: string; target?: string; original?: true }) => {
      const hub = await connectHub(options)
      const params = await versionOf(hub, named)
      const { artifacts } = await hub.call('modelShow', { params })
      const { target } = options
      const artifact = artifacts.find((one) => target === undefined || one.target === target)
      if (!options.original && !artifact) {
        throw new Failure(
          `Cannot fetch "${named}": nothing was compiled of it${target ? ` for ${target}` : ''}`,
          'let the hub compile it with `./edgeloop model build`, or add --original',
        )
      }
      const signal = stopSignal()
      const content = options.original
        ? await hub.stream('modelFile', { params, signal })
        : await hub.stream('artifactFile', {
            params: { artifactId: artifact?.artifactId ?? '' },
            signal,
          })
      await writeFile(options.out, content)
      const { size: sizeBytes } = await stat(options.out)
      if (options.json) printJson({ file: options.out, sizeBytes })
      else console.log(`${options.out}: ${sizeBytes} bytes`)
    },
  )
}

/**
 * Takes a file to the hub as the next version of its name.
 * @param options.again SHA-256 of the file: where it is a version of that name already, that one is given
 */
export async function addFile(
  hub: HubClient,
  file: string,
  options: {
    readonly layout: string
    readonly name?: string | undefined
    readonly labels?: string
    readonly description?: string
    readonly note?: string
    readonly again?: string
  },
): Promise<ModelVersion> {
  const signal = stopSignal()
  const name = options.name ?? nameOf(file)
  if (options.again !== undefined) {
    const names = await hub.call('modelList', {})
    const isKnown = names.some(({ newest }) => newest.name === name)
    const versions = isKnown ? await hub.call('modelVersionList', { params: { name } }) : []
    const known = versions.find(({ digest }) => digest === options.again)
    if (known) return known
  }
  const { descriptionEndings, readLabels } = await import('@edgeloop/edge-agent/models')
  const labels = options.labels === undefined ? [] : (await readLabels(options.labels)).names
  const description = await readDescription(file, descriptionEndings, options.description)
  const uploadId = await upload(hub, file, signal)
  return await hub.call('modelAdd', {
    body: {
      name,
      uploadId,
      layout: options.layout,
      labels: [...labels],
      ...(description === undefined ? {} : { description }),
      ...(options.note === undefined ? {} : { note: options.note }),
    },
    signal: AbortSignal.any([signal, AbortSignal.timeout(addTimeoutMs)]),
  })
}

/** Sends a file in parts. @returns the id of the upload */
export async function upload(hub: HubClient, file: string, signal: AbortSignal): Promise<string> {
  const { size } = await stat(file).catch((cause) => {
    throw new Failure(`Cannot read "${file}": there is no such file`, undefined, { cause })
  })
  if (size === 0) throw new Failure(`Cannot add "${file}": it is empty`)
  let at: Upload = await hub.call('uploadBegin', { body: { sizeBytes: size } })
  await using handle = await open(file)
  while (at.receivedBytes < size) {
    signal.throwIfAborted()
    const part = Buffer.alloc(Math.min(at.partBytesMax, size - at.receivedBytes))
    const { bytesRead } = await handle.read(part, 0, part.length, at.receivedBytes)
    if (bytesRead < part.length) throw new Failure(`Cannot add "${file}": it has become shorter`)
    const { uploadId, receivedBytes: offset } = at
    at = await hub.call('uploadPart', { params: { uploadId, offset }, bytes: part, signal })
    if (process.stderr.isTTY) {
      process.stderr.write(`\r${Math.round((at.receivedBytes / size) * 100)} % sent`)
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\n')
  return at.uploadId
}

/** The text of the description that is named, or of the one beside the model. */
async function readDescription(
  file: string,
  endings: readonly string[],
  named: string | undefined,
): Promise<string | undefined> {
  if (named !== undefined) {
    return await readFile(named, 'utf8').catch((cause) => {
      throw new Failure(
        `Cannot read the description "${named}": there is no such file`,
        undefined,
        {
          cause,
        },
      )
    })
  }
  const stem = file.replace(/\.onnx$/i, '')
  for (const ending of endings) {
    const text = await readFile(stem + ending, 'utf8').catch(() => undefined)
    if (text !== undefined) return text
  }
  return undefined
}

const nameOf = (file: string): string =>
  basename(file)
    .replace(/\.onnx$/i, '')
    .toLowerCase()

type Named = Pick<ModelVersion, 'name' | 'version'>

function parseVersion(named: string): Named | undefined {
  const [, name, version] = /^([^/]+)\/(\d+)$/.exec(named) ?? []
  return name === undefined ? undefined : { name, version: Number(version) }
}

/** What `NAME` or `NAME/VERSION` stands for. @throws {Failure} when there is no such model */
export async function versionOf(hub: HubClient, named: string): Promise<Named> {
  const exact = parseVersion(named)
  if (exact) return exact
  const rows = await hub.call('modelList', {})
  const row = rows.find(({ newest }) => newest.name === named)
  if (row) return row.newest
  throw new Failure(
    `Cannot find the model "${named}" in the hub`,
    '`./edgeloop model list` shows what is there',
  )
}
