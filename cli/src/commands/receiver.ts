/** `edgeloop receiver …`: whom rules can tell. */
import { readFile } from 'node:fs/promises'
import type { Receiver, ReceiverRow, ReceiverSaved } from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { gather, integer, withHub } from '../options.ts'
import { formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type PutOptions = Options & {
  webhook?: string
  batch?: true
  plainHttp?: true
  mqtt?: string
  topic?: string
  retain?: true
  mail?: string[]
  from?: string
  server?: string
  security?: 'tls' | 'starttls' | 'none'
  user?: string
  passwordFile?: string
  caFile?: string
  allow?: string[]
}

export function receiverCommand(): Command {
  const receiver = new Command('receiver')
    .description('Set up whom rules can tell: webhooks, MQTT topics, mail')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop receiver put guard --webhook https://hooks.example.com/edgeloop
  $ ./edgeloop receiver put home --mqtt mqtt://192.168.1.5 --topic 'alerts/{device}' --allow 192.168.1.5
  $ ./edgeloop receiver put night --mail guard@example.com --from hub@example.com \\
      --server smtp.example.com:465 --security tls --user hub --password-file smtp-password
  $ ./edgeloop receiver test guard
  $ ./edgeloop receiver secret guard                  the next signing secret`,
    )

  withHub(receiver.command('list').description('list the receivers')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('receiverList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      if (rows.length === 0) return void process.stderr.write('There are no receivers yet\n')
      console.log(
        formatTable(rows, [
          { title: 'RECEIVER', of: (row) => row.name },
          { title: 'WHAT', of: ({ receiver }) => sayPlace(receiver) },
          { title: 'STATE', of: sayState },
          { title: 'WAITING', of: (row) => row.waiting, right: true },
          { title: 'GIVEN UP', of: (row) => row.dead, right: true },
        ]),
      )
    },
  )

  withHub(
    receiver
      .command('put')
      .argument('<name>', 'name under which rules tell it')
      .description('set up a receiver; the secret of a new webhook is printed once')
      .option('--webhook <url>', 'CloudEvents to this address, signed')
      .option('--batch', 'one CloudEvent for each event, as a batch')
      .option('--plain-http', 'allow http: everybody between can read it')
      .option('--mqtt <url>', 'a topic of this broker: mqtts://HOST:PORT')
      .option('--topic <topic>', '{rule}, {site}, {device}, {stream} and {label} are filled in')
      .option('--retain', 'the broker keeps the newest message for who comes later')
      .option('--mail <address>', 'mail to this address; may be given several times', gather)
      .option('--from <address>', 'sender of the mails')
      .option('--server <host:port>', 'mail server')
      .addOption(
        new Option('--security <how>', 'how the mail server is spoken to').choices([
          ...['tls', 'starttls', 'none'],
        ]),
      )
      .option('--user <name>', 'name at the broker or mail server')
      .option('--password-file <file>', 'its password, in a file')
      .option('--ca-file <file>', 'certificates (PEM) to trust beside those of the system')
      .option('--allow <address>', 'a private address, range or host; several times', gather)
      .addHelpText(
        'after',
        '\nExample:\n  $ ./edgeloop receiver put guard --webhook https://hooks.example.com/edgeloop',
      ),
  ).action(async (name: string, options: PutOptions) => {
    const body = { receiver: await receiverOf(options), ...(await passwordOf(options)) }
    const hub = await connectHub(options)
    const saved = await hub.call('receiverPut', { params: { name }, body })
    if (options.json) return printJson(saved)
    console.log(`Receiver "${name}" is set`)
    saySecret(saved)
  })

  withHub(
    receiver
      .command('test')
      .argument('<name>', 'name of the receiver')
      .description('send a trial now and say what came of it')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop receiver test guard'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    const answer = await hub.call('receiverTest', {
      params: { name },
      signal: AbortSignal.timeout(60_000),
    })
    if (options.json) printJson(answer)
    else if (answer.ok) console.log(`It was taken: ${plain(answer.outcome)}`)
    if (!answer.ok) throw new Failure(`Cannot tell "${name}": ${plain(answer.outcome)}`)
  })

  withHub(
    receiver
      .command('secret')
      .argument('<name>', 'name of the receiver')
      .option('--overlap <hours>', 'the earlier one signs beside it (default: 24)', integer(0, 720))
      .description('make the next signing secret of a webhook')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop receiver secret guard --overlap 48'),
  ).action(async (name: string, options: Options & { overlap?: number }) => {
    const hub = await connectHub(options)
    const { overlap } = options
    const body = overlap === undefined ? {} : { overlapHours: overlap }
    const saved = await hub.call('receiverSecretRotate', { params: { name }, body })
    if (options.json) return printJson(saved)
    saySecret(saved)
  })

  withHub(
    receiver
      .command('remove')
      .argument('<name>', 'name of the receiver')
      .description('remove a receiver that no rule names')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop receiver remove guard'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    await hub.call('receiverRemove', { params: { name } })
    if (options.json) return printJson({ removed: name })
    console.log(`Receiver "${name}" is removed`)
  })
  return receiver
}

function sayPlace(receiver: Receiver): string {
  if (receiver.kind === 'mail') return `mail to ${receiver.to.join(', ')}`
  return `${receiver.kind} at ${receiver.url}`
}

function sayState({ pausedUntil, failures, lastError }: ReceiverRow): string {
  if (pausedUntil !== null) return `left alone until ${pausedUntil.slice(11, 16)} UTC: ${lastError}`
  if (failures > 0) return `failing: ${lastError}`
  return 'ok'
}

function saySecret({ secret, receiver }: ReceiverSaved): void {
  if (secret === null) return
  console.log(`Signing secret: ${secret}`)
  const until = receiver.earlierSecretUntil
  const also = until === null ? '' : `; the earlier one signs beside it until ${until}`
  process.stderr.write(`hint: keep it where messages are received, it is not shown again${also}\n`)
}

async function receiverOf(options: PutOptions): Promise<Receiver> {
  const { webhook, mqtt, mail, caFile, allow, user } = options
  if ([webhook, mqtt, mail].filter((one) => one !== undefined).length !== 1) {
    throw new UsageFailure('Cannot set a receiver: give one of --webhook, --mqtt and --mail')
  }
  const common = {
    ...(caFile === undefined ? {} : { ca: await textOf(caFile) }),
    ...(allow === undefined ? {} : { allow }),
  }
  const login = user === undefined ? {} : { username: user }
  if (webhook !== undefined) {
    return {
      kind: 'webhook',
      url: webhook,
      ...common,
      ...(options.batch ? { batch: true } : {}),
      ...(options.plainHttp ? { plainHttp: true } : {}),
    }
  }
  if (mqtt !== undefined) {
    const { topic, retain } = options
    if (topic === undefined)
      throw new UsageFailure('Cannot set a receiver at a broker without --topic')
    return { kind: 'mqtt', url: mqtt, topic, ...(retain ? { retain } : {}), ...login, ...common }
  }
  const { from, server, security = 'tls' } = options
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(server ?? '') ?? []
  if (from === undefined || host === undefined) {
    throw new UsageFailure(
      'Cannot set a receiver of mail without --from ADDRESS and --server HOST:PORT',
    )
  }
  return {
    kind: 'mail',
    to: mail ?? [],
    from,
    host,
    port: Number(port),
    security,
    ...login,
    ...common,
  }
}

async function passwordOf({ passwordFile }: PutOptions): Promise<{ password?: string }> {
  return passwordFile === undefined ? {} : { password: (await textOf(passwordFile)).trim() }
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Failure(`Cannot read "${file}": ${(cause as Error).message}`, undefined, { cause })
  }
}
