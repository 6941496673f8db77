/** `edgeloop bundle …`: models and all that is signed about them as one file, for where no hub is reached. */
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import {
  type Bundle,
  digestOf,
  readBundle,
  takeBytes,
  verifyBundle,
} from '@edgeloop/model-compiler/artifact'
import { Command, InvalidArgumentError } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer, jsonOption, withHub } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import {
  agentDataOption,
  bytesOf,
  type CarryCommandOptions,
  carry,
  withCare,
} from './bundle-carry.ts'
import { upload } from './model-registry.ts'

type Options = HubOptions & { json?: boolean }
type Version = { name: string; version: number }

/** A hub looks into every model that it did not know. */
const takeTimeoutMs = 600_000

export function bundleCommand(): Command {
  const bundle = new Command('bundle')
    .description('Carry models to boxes and hubs that the network does not reach')
    .addHelpText(
      'after',
      `
A bundle is a tar file: what is signed, and the bytes of the models that were asked for.

Examples:
  $ ./edgeloop bundle export gate/3 yard/1 -o site.bundle --days 60
  $ ./edgeloop bundle check site.bundle --root root.json
  $ ./edgeloop bundle import site.bundle --hub https://other:4180
  $ ./edgeloop bundle import site.bundle --agent-data /opt/edgeloop/data`,
    )

  withHub(
    bundle
      .command('export')
      .argument('<model/version...>', 'published versions, such as gate/3', readVersion)
      .description('write published versions and what is signed about them into a file')
      .requiredOption('-o, --out <file>', 'file to write; one that is there is replaced')
      .option('--days <n>', 'days for which it is believed', integer(1, 90), 30),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop bundle export gate/3 -o gate.bundle')
    .action(exportBundle)

  bundle
    .command('check')
    .argument('<file>')
    .description('say what is in a bundle, whether all of it is whole, and who signed it')
    .requiredOption('--root <file>', 'root that is trusted, from "keys export-root"')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop bundle check gate.bundle --root root.json')
    .action(check)

  withCare(
    withHub(
      bundle
        .command('import')
        .argument('<file>')
        .description(
          'give a bundle to a hub with the same root, where its models are then published; or to the agent of this box',
        )
        .addOption(agentDataOption().conflicts(['hub', 'token', 'ca'])),
    ),
  )
    .addHelpText(
      'after',
      `
With --agent-data no hub is asked: the agent whose data are there takes up what is meant for its box, by the same checks and
states as a model that a hub offers, whether it runs now or later.

Examples:
  $ ./edgeloop bundle import gate.bundle
  $ ./edgeloop bundle import gate.bundle --agent-data /opt/edgeloop/data --probation 60`,
    )
    .action(async (file: string, options: Options & Partial<CarryCommandOptions>) => {
      const { agentData, shadow, probation } = options
      if (agentData !== undefined) return await carry(file, { ...options, agentData })
      if (shadow === undefined && probation === undefined) return await importBundle(file, options)
      throw new UsageFailure(
        'Cannot import into a hub with --shadow or --probation: these are for one box',
        'say --agent-data, or give them to "./edgeloop rollout create"',
      )
    })
  return bundle
}

function readVersion(text: string, before: Version[] | undefined): Version[] {
  const [, name, version] = /^([^/]+)\/([1-9]\d{0,6})$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('it must be NAME/VERSION, such as gate/3')
  return [...(before ?? []), { name, version: Number(version) }]
}

async function exportBundle(versions: Version[], options: Options & { out: string; days: number }) {
  const hub = await connectHub(options)
  const body = { versions, validDays: options.days }
  const stream = await hub.stream('bundleMake', { body })
  const part = `${options.out}.part`
  try {
    await using handle = await open(part, 'w')
    for await (const chunk of stream) await handle.writeFile(chunk)
    await handle.sync()
    // A line that broke would leave a file that looks whole.
    await using written = await open(part)
    const { digests } = await indexOf(written)
    await rename(part, options.out)
    const { size } = await stat(options.out)
    const facts = {
      file: options.out,
      sizeBytes: size,
      artifacts: digests.size,
      days: options.days,
    }
    if (options.json) printJson(facts)
    else {
      console.log(
        `${options.out}: ${versions.length} versions, ${bytes(size)}, good for ${options.days} days`,
      )
    }
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}

async function indexOf(handle: FileHandle): Promise<Bundle> {
  return await readBundle(await bytesOf(handle))
}

async function check(file: string, options: { root: string; json?: boolean }): Promise<void> {
  const { signal } = new AbortController()
  const root = await readFile(options.root).catch((cause: Error) => {
    throw new Failure(`Cannot read the root: ${cause.message}`, undefined, { cause })
  })
  await using handle = await open(file).catch((cause: Error) => {
    throw new Failure(`Cannot read the bundle: ${cause.message}`, undefined, { cause })
  })
  const bundle = await indexOf(handle)
  const { trusted, manifests } = await verifyBundle(bundle, { root, now: Date.now(), signal })
  const rows = []
  for (const { path, manifest } of manifests) {
    for (const { digest, lengthBytes } of manifest.encodings) {
      const found = await takeBytes(bundle.open(digest), lengthBytes, digest)
      if (digestOf(found) === digest) continue
      throw new Failure(`Cannot use the bundle: the encoding ${digest} of "${path}" is damaged`)
    }
    const { name, version, targets, encodings, file: model } = manifest
    rows.push({ name, version, targets, encodings: encodings.length, sizeBytes: model.lengthBytes })
  }
  const { fleet, expiresAt } = trusted
  const until = new Date(expiresAt).toISOString()
  if (options.json) return printJson({ file, fleet, expiresAt: until, models: rows })
  console.log(
    formatTable(rows, [
      { title: 'MODEL', of: ({ name, version }) => `${name}/${version}` },
      { title: 'FOR', of: ({ targets }) => targets.join(' ') },
      { title: 'WAYS', of: ({ encodings }) => encodings, right: true },
      { title: 'SIZE', of: ({ sizeBytes }) => bytes(sizeBytes), right: true },
    ]),
  )
  console.log(
    `\nSigned for ${fleet}, good until ${until.slice(0, 16).replace('T', ' ')} UTC; all of it is whole`,
  )
}

async function importBundle(file: string, options: Options): Promise<void> {
  const hub = await connectHub(options)
  const signal = stopSignal()
  const uploadId = await upload(hub, file, signal)
  const { fleet, taken, signed } = await hub.call('bundleTake', {
    body: { uploadId },
    signal: AbortSignal.any([signal, AbortSignal.timeout(takeTimeoutMs)]),
  })
  if (options.json) return printJson({ file, fleet, taken, signed })
  for (const { path, isNew } of taken) console.log(`${path}${isNew ? '' : ' (was here)'}`)
  console.log(
    `${basename(file)}: ${taken.length} manifests of ${fleet}${signed ? '' : ', waiting for "./edgeloop keys sign"'}`,
  )
}
