/** `edgeloop model publish|published`: a model version becomes what boxes may be offered, and what that costs to send. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelVersion, Published } from '@edgeloop/protocol'
import type { Command } from 'commander'
import { Failure } from '../failure.ts'
import { followJob } from '../follow-job.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { addFile, versionOf } from './model-registry.ts'

type Options = HubOptions & { json?: boolean }

type PublishOptions = Options & {
  name?: string | undefined
  target?: string
  layout?: string | undefined
  labels?: string
  description?: string
  note?: string
  expires?: number
}

/** Puts the commands under `model`. */
export function addPublishCommands(model: Command): void {
  withHub(
    model
      .command('publish')
      .argument(
        '<model>',
        'ONNX file, folder of `model compile`, or NAME or NAME/VERSION in the hub',
      )
      .description('make a model version ready for boxes: gate, golden vectors, deltas, signature')
      .option('--target <name>', 'only for this kind of box; any: the file as it was added')
      .option(
        '--expires <days>',
        'days for which boxes take it up (default: 365)',
        integer(1, 3650),
      )
      .option('--name <name>', "of a file: name in the hub (default: the file's)")
      .option('--layout <name>', 'of a file: how it is fed and read, such as yolox')
      .option('--labels <file|coco>', 'of a file: one label per line, or coco')
      .option('--description <file>', 'of a file: model description')
      .option('--note <text>', 'of a file: what is to be known about it'),
  )
    .addHelpText(
      'after',
      `
Publishing the same twice changes nothing. What is published stays: another file is another version.

Examples:
  $ ./edgeloop model publish parts.onnx --layout yolox --labels parts.txt
  $ ./edgeloop model publish out/parts --name parts        what \`model compile\` wrote, for its target
  $ ./edgeloop model publish parts/4                       what the hub has compiled of it
  $ ./edgeloop model published parts`,
    )
    .action(async (given: string, options: PublishOptions) => {
      const hub = await connectHub(options)
      const { params, target } = await chosen(hub, given, options)
      const job = await hub.call('modelPublish', {
        params,
        body: {
          ...(target !== undefined && { target }),
          ...(options.expires !== undefined && { expiresDays: options.expires }),
        },
      })
      const end = await followJob(hub, job)
      if (end.state !== 'done') {
        throw new Failure(end.error || `Cannot publish ${end.subject}: it was ${end.state}`)
      }
      const rows = await hub.call('modelPublished', { params })
      show(rows, options)
      if (rows.some(({ signed }) => !signed)) {
        process.stderr.write(
          'It waits for the targets key, which is not at this hub: `./edgeloop keys sign`\n',
        )
      }
    })

  withHub(
    model
      .command('published')
      .argument('<model>', 'NAME for all of its versions, or NAME/VERSION')
      .description('list what boxes may be offered, and how many bytes each way of sending takes'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop model published parts --json')
    .action(async (named: string, options: Options) => {
      const hub = await connectHub(options)
      const rows = named.includes('/')
        ? await hub.call('modelPublished', { params: await versionOf(hub, named) })
        : await hub.call('modelPublishedList', { params: { name: named } })
      if (rows.length === 0) {
        process.stderr.write(`Nothing of it is published: ./edgeloop model publish ${named}\n`)
      }
      show(rows, options)
    })
}

/** The version that is meant; a file is added first, where the hub does not have it as its newest. */
async function chosen(hub: HubClient, given: string, options: PublishOptions) {
  const found = await stat(given).catch(() => undefined)
  const { target } = options
  if (!found) {
    for (const option of ['name', 'layout', 'labels', 'description', 'note'] as const) {
      if (options[option] === undefined) continue
      throw new Failure(
        `Cannot publish "${given}" with --${option}: that is said of a file, and there is no file of that name`,
        'to publish what is in the hub, leave it out',
      )
    }
    return { params: await versionOf(hub, given), target }
  }
  if (!found.isDirectory()) return { params: await added(hub, given, options), target }
  const { about, file } = await compiledFolder(given)
  const params = await added(hub, file, {
    ...options,
    layout: options.layout ?? about.layout,
    name: options.name ?? about.name,
  })
  return { params, target: target ?? about.target }
}

async function added(
  hub: HubClient,
  file: string,
  { layout, ...options }: PublishOptions,
): Promise<Pick<ModelVersion, 'name' | 'version'>> {
  if (layout === undefined) {
    throw new Failure(`Cannot publish "${file}": how is it fed and read?`, 'say it with --layout')
  }
  return await addFile(hub, file, { ...options, layout, again: await digestOf(file) })
}

/** What `model compile` wrote: the model, what is stated about it, and its description. */
async function compiledFolder(folder: string) {
  const file = join(folder, 'model.onnx')
  let stated: { name?: string; target?: string; description?: { layout?: string } }
  try {
    stated = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))
  } catch (cause) {
    throw new Failure(
      `Cannot publish "${folder}": it has no manifest.json that could be read`,
      'give a folder that `./edgeloop model compile` wrote, or an ONNX file',
      { cause },
    )
  }
  const about = {
    name: stated.name?.replace(/\.onnx$/i, '').toLowerCase(),
    target: stated.target,
    layout: stated.description?.layout,
  }
  return { file, about }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(file)) hash.update(part as Buffer)
  return hash.digest('hex')
}

function show(rows: readonly Published[], { json }: Options): void {
  if (json) {
    for (const row of rows) printJson(row)
    return
  }
  const lines = rows.flatMap((row) => row.encodings.map((encoding) => ({ row, encoding })))
  console.log(
    formatTable(lines, [
      { title: 'MODEL', of: ({ row }) => `${row.name}/${row.version}` },
      { title: 'TARGET', of: ({ row }) => row.target },
      { title: 'FILE', of: ({ row }) => bytes(row.file.lengthBytes), right: true },
      {
        title: 'FOR BOXES WITH',
        of: ({ encoding: { baseVersion, baseDigest } }) =>
          baseVersion !== null
            ? `version ${baseVersion}`
            : (baseDigest?.slice(0, 12) ?? 'anything'),
      },
      { title: 'AS', of: ({ encoding }) => encoding.codec },
      { title: 'SENT', of: ({ encoding }) => bytes(encoding.lengthBytes), right: true },
      {
        title: 'SAVED',
        of: ({ row, encoding }) =>
          `${((1 - encoding.lengthBytes / row.file.lengthBytes) * 100).toFixed(1)} %`,
        right: true,
      },
      { title: 'SIGNED', of: ({ row }) => (row.signed ? 'yes' : 'waits') },
    ]),
  )
}
