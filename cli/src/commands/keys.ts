/**
 * `edgeloop keys …`: who signs what boxes run. What needs a private key is done here, where the key is: files go to the
 * hub, keys never do. Documents can be carried between machines as files, so that each root key stays where it is kept.
 */
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  checkNextRoot,
  type Document,
  fleetField,
  keyIdOf,
  makeKey,
  makeTargets,
  nextRoot,
  ownField,
  readDocument,
  readKey,
  readSigned,
  rolesOf,
  type SigningKey,
  signDocument,
  targetsOf,
} from '@edgeloop/model-compiler/artifact'
import {
  type TrustRole,
  type TrustShown,
  trustDocumentBytesMax,
  trustRoles,
} from '@edgeloop/protocol'
import { Argument, Command } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { gather, jsonOption, withHub } from '../options.ts'
import { formatTable, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type KeyOptions = { key?: string[] }
type RotateOptions = Options &
  KeyOptions & { new?: string; replace?: string; renew?: boolean; out?: string }

const rootMs = 365 * 86_400_000
const targetsMs = 365 * 86_400_000
const keyHelp = 'key to sign with, a PEM file or a folder of *.key; may be given several times'

export function keysCommand(): Command {
  const keys = new Command('keys')
    .description('Keys that sign what boxes run: list, rotate, sign, take away')
    .addHelpText(
      'after',
      `
The root's keys are written beside the hub at its first start, into root-keys in its data folder. Take them
away from there; these commands read them from wherever they then are. docs/trust.md tells what to do when
one is lost or stolen.

Examples:
  $ ./edgeloop keys list
  $ ./edgeloop keys rotate timestamp --key /mnt/stick-1/root-1.key --key /mnt/stick-2/root-2.key
  $ ./edgeloop keys sign --key /mnt/stick-3/targets.key          what waits for the targets key
  $ ./edgeloop keys export-root -o root.json`,
    )

  keys
    .command('init')
    .argument(
      '<dir>',
      'folder to make; put its folder trust into keys/ of the hub before it starts',
    )
    .description('make the keys of a new fleet here, instead of letting a hub make them')
    .option(
      '--targets-elsewhere',
      'keep the targets key from the hub: publishing then waits for it',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ ./edgeloop keys init fleet --targets-elsewhere
  $ mkdir -p .edgeloop/hub/keys && mv fleet/trust .edgeloop/hub/keys/`,
    )
    .action(init)

  withHub(keys.command('list').description('say who signs, until when, and what waits'))
    .addHelpText('after', '\nExample:\n  $ ./edgeloop keys list --json')
    .action(list)

  withHub(
    keys
      .command('rotate')
      .addArgument(new Argument('<role>', 'whose key is another from now on').choices(trustRoles))
      .description('make a next root in which a role has a new key, sign it, and send it')
      .option('--key <file>', keyHelp, gather)
      .option('--new <file>', 'write the new private key here: for root, and for targets elsewhere')
      .option(
        '--replace <id>',
        'which of the keys of the root is replaced; its beginning is enough',
      )
      .option('--renew', 'change no key: only the expiry of the root is a new one')
      .option(
        '-o, --out <file>',
        'write the root here instead of sending it, to be signed further',
      ),
  )
    .addHelpText(
      'after',
      `
Two of the three root keys must sign. Where they are not at one place, write the root to a file, sign it at
the other place, and send it.

Examples:
  $ ./edgeloop keys rotate timestamp --key root-1.key --key root-2.key
  $ ./edgeloop keys rotate targets --new targets.key --key root-keys/
  $ ./edgeloop keys rotate root --replace 4be1 --new root-4.key --key root-1.key -o next.json
  $ ./edgeloop keys sign next.json --key root-2.key
  $ ./edgeloop keys send next.json`,
    )
    .action(rotate)

  withHub(
    keys
      .command('sign')
      .argument(
        '[file]',
        'root or targets, from `rotate -o` or `staged`; default: what waits at the hub',
      )
      .description('add signatures')
      .option('--key <file>', keyHelp, gather),
  )
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop keys sign --key targets.key              fetches what waits, signs it, and sends it
  $ ./edgeloop keys sign next.json --key root-2.key     needs no hub`,
    )
    .action(sign)

  withHub(
    keys
      .command('staged')
      .description('fetch targets that wait for a signature, to be signed on another machine')
      .requiredOption('-o, --out <file>', 'file to write'),
  )
    .addHelpText(
      'after',
      `
Example:
  $ ./edgeloop keys staged -o targets.json`,
    )
    .action(async (options: Options & { out: string }) => {
      const hub = await connectHub(options)
      const { document } = await hub.call('trustStaged', {})
      await writeFile(options.out, document)
      tell(options, { file: options.out }, `Written to ${options.out}; sign it, and send it`)
    })

  withHub(
    keys
      .command('send')
      .argument('<file>', 'signed root or targets')
      .description('give the hub what was signed'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop keys send next.json')
    .action(async (file: string, options: Options) => {
      const hub = await connectHub(options)
      tell(options, ...(await send(hub, await readBytes(file), file)))
    })

  withHub(
    keys
      .command('export-root')
      .description('write the newest root: what a box or another hub is to trust')
      .option('-o, --out <file>', 'file to write instead of standard output'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop keys export-root -o root.json')
    .action(async (options: Options & { out?: string }) => {
      const root = await newestRoot(await connectHub(options))
      if (options.out === undefined) return void process.stdout.write(root.bytes)
      await writeFile(options.out, root.bytes)
      const facts = { file: options.out, version: root.version }
      tell(options, facts, `Version ${root.version} of the root is in ${options.out}`)
    })
  return keys
}

async function init(dir: string, options: { targetsElsewhere?: boolean; json?: boolean }) {
  if (await stat(dir).catch(() => undefined)) {
    throw new Failure(`Cannot make keys in "${dir}": it is there already`)
  }
  const { openFirstRoot } = await import('@edgeloop/cloud-hub')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const folders = { online: join(dir, 'trust'), root: join(dir, 'root-keys') }
  const elsewhere = options.targetsElsewhere ? join(dir, 'targets-key') : undefined
  const { root } = await openFirstRoot(folders, Date.now, elsewhere)
  const fleet = ownField(readDocument('root', root), fleetField)
  const facts = { fleet, ...folders, ...(elsewhere && { targets: elsewhere }) }
  const away = [folders.root, ...(elsewhere ? [elsewhere] : [])].join(' and ')
  const text = `${fleet} is made. Put ${folders.online} into keys/ of the hub before its first start, and take ${away} away`
  tell(options, facts, text)
}

async function list(options: Options): Promise<void> {
  const shown = await (await connectHub(options)).call('trustShow', {})
  if (options.json) return printJson(shown)
  const rows = shown.roles.flatMap((role) =>
    role.keys.map((key, index) => ({ ...role, key, index })),
  )
  console.log(
    formatTable(rows, [
      { title: 'ROLE', of: ({ role, index }) => (index === 0 ? role : '') },
      { title: 'KEY', of: ({ key }) => key.keyId.slice(0, 12) },
      { title: 'WHERE', of: ({ key }) => (key.online ? 'at this hub' : 'elsewhere') },
      {
        title: 'MUST SIGN',
        of: ({ threshold, keys: { length }, index }) =>
          index === 0 ? `${threshold} of ${length}` : '',
      },
      { title: 'VERSION', of: ({ version, index }) => (index === 0 ? version : ''), right: true },
      { title: 'EXPIRES', of: ({ expiresAt, index }) => (index === 0 ? endOf(expiresAt) : '') },
    ]),
  )
  console.log(
    `\n${shown.fleet}: ${shown.targets} manifests are signed, ${shown.staged.length} wait`,
  )
  for (const { path } of shown.staged) console.log(`  ${path}`)
  for (const problem of shown.problems) process.stderr.write(`${problem}\n`)
}

const endOf = (expiresAt: string): string => `${expiresAt.slice(0, 16).replace('T', ' ')} UTC`

async function rotate(role: TrustRole, options: RotateOptions): Promise<void> {
  const signers = await readKeys(options.key)
  if (options.renew && (options.new !== undefined || options.replace !== undefined)) {
    throw new Failure('Cannot renew and change a key at once', 'leave --renew away, or the rest')
  }
  const hub = await connectHub(options)
  const before = await newestRoot(hub)
  // Before a key is made for nothing. Who signs a new root key is known only with it.
  if (options.out === undefined && role !== 'root') {
    checkSigned(before, signDocument(nextRoot(before, undefined, Date.now() + rootMs), signers))
  }
  const change = options.renew ? undefined : await changeOf(hub, role, before, options)
  const unsigned = nextRoot(before, change && { role, keys: change.keys }, Date.now() + rootMs)
  const made = change?.made
  const document = signDocument(unsigned, [...signers, ...(role === 'root' && made ? [made] : [])])
  let targets: Uint8Array | undefined
  if (role === 'targets' && made) targets = await targetsBy(hub, made)
  if (options.out !== undefined) {
    await writeFile(options.out, document)
    if (targets) await writeFile(`${options.out}.targets`, targets)
    const text = `Written to ${options.out}; sign it with "./edgeloop keys sign ${options.out} --key …", and send it with "./edgeloop keys send ${options.out}"`
    return tell(options, { file: options.out, version: before.version + 1 }, text)
  }
  checkSigned(before, document)
  tell(options, ...(await send(hub, document, 'the root', targets)))
}

function checkSigned(before: Document<'root'>, document: Uint8Array): void {
  try {
    checkNextRoot(before, readDocument('root', document))
  } catch (cause) {
    throw new Failure(
      (cause as Error).message,
      'give more keys with --key, or write the root to a file with -o and sign it where they are',
      { cause },
    )
  }
}

type Change = {
  readonly keys: ReturnType<typeof rolesOf>[TrustRole]
  /** The new key where it was made here. */
  readonly made?: SigningKey
}

/** What keys the role has next; a new one is made at the hub, or here where it is not to be there. */
async function changeOf(
  hub: HubClient,
  role: TrustRole,
  before: Document<'root'>,
  options: RotateOptions,
): Promise<Change> {
  const { keys, threshold } = rolesOf(before)[role]
  if (role !== 'root' && options.replace !== undefined) {
    throw new Failure(`Cannot replace one key of ${role}: --replace is for the root`)
  }
  if (options.new === undefined) {
    if (role === 'root') {
      throw new Failure(
        'Cannot rotate the root: its new key is made here, and must be written somewhere',
        'say where with --new FILE; or change the expiry alone with --renew',
      )
    }
    const made = await hub.call('trustKeyMake', { body: { role } })
    return { keys: { keys: [made.publicKey], threshold: 1 } }
  }
  if (role === 'snapshot' || role === 'timestamp') {
    const text = `Cannot keep the key of ${role} elsewhere: the hub signs with it every few hours`
    throw new Failure(text, 'leave --new away')
  }
  const replaced = role === 'root' ? replacedKey(keys.map(keyIdOf), options.replace) : undefined
  const { key, pem } = makeKey()
  await mkdir(dirname(options.new), { recursive: true })
  // Never over a key that is there.
  await writeFile(options.new, pem, { mode: 0o600, flag: 'wx' }).catch((cause: Error) => {
    throw new Failure(`Cannot write the new key: ${cause.message}`, undefined, { cause })
  })
  if (role === 'targets') return { keys: { keys: [key.publicKey], threshold: 1 }, made: key }
  const kept = keys.filter((one) => keyIdOf(one) !== replaced)
  return { keys: { keys: [...kept, key.publicKey], threshold }, made: key }
}

function replacedKey(keyIds: readonly string[], beginning: string | undefined): string {
  const found = keyIds.filter((keyId) => beginning && keyId.startsWith(beginning))
  if (found.length === 1) return found[0]!
  throw new Failure(
    beginning === undefined
      ? 'Cannot rotate the root without knowing which of its keys goes'
      : `Cannot replace "${beginning}": ${found.length} keys of the root begin so`,
    `say which with --replace: ${keyIds.map((keyId) => keyId.slice(0, 12)).join(', ')}`,
  )
}

/** What is published now, signed by a key that the hub does not have. */
async function targetsBy(hub: HubClient, key: SigningKey): Promise<Uint8Array> {
  const { roles } = await hub.call('trustShow', {})
  const version = versionOf(roles, 'targets')
  const listed =
    version === 0
      ? {}
      : targetsOf(readDocument('targets', await fetchFile(hub, `${version}.targets.json`)))
  const unsigned = makeTargets({
    version: Math.max(version + 1, Math.floor(Date.now() / 1000)),
    expiresAt: Date.now() + targetsMs,
    targets: listed,
  })
  return signDocument(unsigned, [key])
}

async function sign(file: string | undefined, options: Options & KeyOptions): Promise<void> {
  const signers = await readKeys(options.key)
  if (file !== undefined) {
    const bytes = await readBytes(file)
    typeOf(bytes, file)
    const signed = signDocument(bytes, signers)
    await writeFile(file, signed)
    const { signatures } = JSON.parse(Buffer.from(signed).toString()) as { signatures: [] }
    const text = `${file} has ${signatures.length} signatures`
    return tell(options, { file, signatures: signatures.length }, text)
  }
  const hub = await connectHub(options)
  const { document } = await hub.call('trustStaged', {})
  const unsigned = Buffer.from(document)
  const signed = signDocument(unsigned, signers)
  // Refused here with a hint, before the hub does without one.
  readSigned('targets', signed, await newestRoot(hub))
  const { staged } = await hub.call('trustShow', {})
  await hub.call('trustTargets', { body: { document: Buffer.from(signed).toString() } })
  const paths = staged.map(({ path }) => path)
  const text = [`${paths.length} manifests are signed`, ...paths.map((path) => `  ${path}`)]
  tell(options, { signed: paths }, text.join('\n'))
}

async function send(
  hub: HubClient,
  bytes: Uint8Array,
  name: string,
  targets?: Uint8Array,
): Promise<[facts: object, text: string]> {
  const document = Buffer.from(bytes).toString()
  const type = typeOf(bytes, name)
  if (type === 'targets') {
    await hub.call('trustTargets', { body: { document } })
    return [{ sent: type }, 'The hub has taken the targets']
  }
  const beside =
    targets ?? (await readFile(`${name}.targets`).catch(() => undefined as Uint8Array | undefined))
  await hub.call('trustRoot', {
    body: { document, ...(beside && { targets: Buffer.from(beside).toString() }) },
  })
  const { version } = readDocument('root', bytes)
  return [{ sent: type, version }, `The hub has taken version ${version} of the root`]
}

function typeOf(bytes: Uint8Array, name: string): 'root' | 'targets' {
  let type: unknown
  try {
    type = (JSON.parse(Buffer.from(bytes).toString()) as { signed: { _type: unknown } }).signed
      ._type
  } catch (cause) {
    throw new Failure(`Cannot read "${name}": it is no metadata`, undefined, { cause })
  }
  if (type === 'root' || type === 'targets') return type
  throw new Failure(`Cannot use "${name}": it is ${JSON.stringify(type)}, not root or targets`)
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file)
    if (size > trustDocumentBytesMax) throw new Error(`it has ${size} bytes`)
    return await readFile(file)
  } catch (cause) {
    throw new Failure(`Cannot read "${file}": ${(cause as Error).message}`, undefined, { cause })
  }
}

/** @param given files, or folders with files that end in `.key` */
async function readKeys(given: readonly string[] = []): Promise<SigningKey[]> {
  if (given.length === 0) {
    throw new Failure('Cannot sign without a key', 'name one with --key FILE, or a folder of them')
  }
  const keys = new Map<string, SigningKey>()
  for (const path of given) {
    try {
      const isFolder = (await stat(path)).isDirectory()
      const names = isFolder ? (await readdir(path)).filter((name) => name.endsWith('.key')) : []
      const files = isFolder ? names.map((name) => join(path, name)) : [path]
      if (files.length === 0) throw new Error(`Cannot find a key in "${path}"`)
      for (const file of files) {
        const key = readKey(await readFile(file, 'utf8'), file)
        keys.set(key.keyId, key)
      }
    } catch (cause) {
      throw new Failure((cause as Error).message, undefined, { cause })
    }
  }
  return [...keys.values()]
}

const versionOf = (roles: TrustShown['roles'], role: TrustRole): number =>
  roles.find((one) => one.role === role)?.version ?? 0

async function newestRoot(hub: HubClient): Promise<Document<'root'>> {
  const { roles } = await hub.call('trustShow', {})
  return readDocument('root', await fetchFile(hub, `${versionOf(roles, 'root')}.root.json`))
}

async function fetchFile(hub: HubClient, file: string): Promise<Uint8Array> {
  const stream = await hub.stream('trustFile', { params: { file } })
  return Buffer.from(await new Response(stream).arrayBuffer())
}

function tell({ json }: { json?: boolean }, facts: object, text: string): void {
  if (json) printJson(facts)
  else console.log(text)
}
