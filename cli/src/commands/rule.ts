/** `edgeloop rule …`: which events are told to whom, and what came of it. */
import { readFile } from 'node:fs/promises'
import { deliveryStates, type EventRule, pathOf, routes, ruleGroupings } from '@edgeloop/protocol'
import { Command, InvalidArgumentError, Option } from 'commander'
import { parse } from 'yaml'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { gather, integer, number, withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type RuleOptions = Options & {
  file?: string
  kind?: string[]
  label?: string[]
  zone?: string[]
  line?: string[]
  alarm?: string[]
  device?: string[]
  site?: string[]
  stream?: string[]
  tag?: string[]
  score?: number
  count?: { atLeast: number; withinSeconds: number }
  by?: (typeof ruleGroupings)[number][]
  coolDown?: number
  gather?: number
  tell?: string[]
  off?: true
}
type TestOptions = RuleOptions & { hours?: number }
type DeliveriesOptions = Options & {
  rule?: string
  receiver?: string
  state?: (typeof deliveryStates)[number]
  limit?: number
}

export function ruleCommand(): Command {
  const rule = new Command('rule')
    .description('Tell somebody when certain events come')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop rule put dock --label person --zone dock --score 0.6 --cool-down 300 --tell guard
  $ ./edgeloop rule put crowd --kind appeared --label person --count 10/60 --by stream --tell ops
  $ ./edgeloop rule put night --file night.yaml          all a rule can say: docs/integrations.md
  $ ./edgeloop rule test --label person --hours 48       what it would have done; nothing is sent
  $ ./edgeloop rule deliveries --state dead
  $ ./edgeloop rule retry --receiver guard
Receivers are set up by an admin: ./edgeloop receiver --help`,
    )

  withHub(rule.command('list').description('list the rules')).action(async (options: Options) => {
    const hub = await connectHub(options)
    const rows = await hub.call('ruleList', {})
    if (options.json) {
      for (const row of rows) printJson(row)
      return
    }
    if (rows.length === 0) return void process.stderr.write('There are no rules yet\n')
    const now = Date.now()
    console.log(
      formatTable(rows, [
        { title: 'RULE', of: (row) => row.name },
        { title: 'ON', of: (row) => (row.rule.enabled === false ? 'off' : 'on') },
        { title: 'FIRED', of: (row) => ago(row.lastFiredAt, now) },
        { title: 'TELLS', of: (row) => row.rule.tell.join(', ') },
        { title: 'WAITING', of: (row) => row.waiting, right: true },
        { title: 'GIVEN UP', of: (row) => row.dead, right: true },
      ]),
    )
  })

  withRule(
    rule
      .command('put')
      .argument('<name>', 'name of the rule')
      .description('set a rule; it looks at what is stored from now on')
      .option('--off', 'keep it, and let it rest')
      .addHelpText(
        'after',
        '\nExample:\n  $ ./edgeloop rule put dock --label person --zone dock --tell guard',
      ),
  ).action(async (name: string, options: RuleOptions) => {
    const hub = await connectHub(options)
    const body = await ruleOf(options)
    if (body.tell.length === 0)
      throw new UsageFailure('Cannot set a rule that tells nobody: say --tell RECEIVER')
    const row = await hub.call('rulePut', { params: { name }, body })
    if (options.json) return printJson(row)
    console.log(`Rule "${row.name}" is set; it tells ${row.rule.tell.join(', ')}`)
  })

  withRule(
    rule
      .command('test')
      .description('say what a rule would have done with the events of the last hours')
      .option('--hours <hours>', 'how far back (default: 24)', integer(1, 168))
      .addHelpText('after', '\nExample:\n  $ ./edgeloop rule test --label person --count 3/60'),
  ).action(async ({ hours = 24, ...options }: TestOptions) => {
    const hub = await connectHub(options)
    const given = await ruleOf(options)
    const body = { ...given, tell: given.tell.length > 0 ? given.tell : ['nobody'] }
    const trial = await hub.call('ruleTest', { body: { rule: body, hours } })
    if (options.json) return printJson(trial)
    const times = trial.fired === 1 ? 'once' : `${trial.fired} times`
    const since = trial.whole ? `in the last ${hours} h` : 'in the newest of them'
    console.log(
      `It would have fired ${times} ${since}: ${trial.matched} of ${trial.looked} events fit, ${trial.silenced} fell into its cool-down`,
    )
    if (trial.examples.length === 0) return
    console.log(
      formatTable(trial.examples, [
        { title: 'AT', of: ({ event }) => event.at },
        { title: 'EVENT', of: ({ event }) => `${event.kind} ${event.label ?? ''}` },
        { title: 'WHERE', of: ({ event }) => `${event.deviceId}/${event.streamId ?? '-'}` },
        { title: 'GROUP', of: ({ group }) => group },
      ]),
    )
  })

  withHub(
    rule
      .command('remove')
      .argument('<name>', 'name of the rule')
      .description('remove a rule; what it has queued is still delivered')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop rule remove dock'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    await hub.call('ruleRemove', { params: { name } })
    if (options.json) return printJson({ removed: name })
    console.log(`Rule "${name}" is removed`)
  })

  withHub(
    rule
      .command('deliveries')
      .description('list what was told to whom, newest first, and what came of it')
      .option('--rule <name>', 'of this rule')
      .option('--receiver <name>', 'to this receiver')
      .addOption(new Option('--state <state>', 'in this state').choices([...deliveryStates]))
      .option('--limit <rows>', 'at most so many', integer(1, 500))
      .addHelpText('after', '\nExample:\n  $ ./edgeloop rule deliveries --state dead'),
  ).action(async (options: DeliveriesOptions) => {
    const hub = await connectHub(options)
    const { rule, receiver, state, limit } = options
    const { deliveries } = await hub.call('deliveryList', {
      query: {
        ...(rule === undefined ? {} : { rule }),
        ...(receiver === undefined ? {} : { receiver }),
        ...(state === undefined ? {} : { state }),
        ...(limit === undefined ? {} : { limit }),
      },
    })
    if (options.json) {
      for (const row of deliveries) printJson(row)
      return
    }
    if (deliveries.length === 0)
      return void process.stderr.write('Nothing was told to anybody yet\n')
    const now = Date.now()
    console.log(
      formatTable(deliveries, [
        { title: 'ID', of: (row) => row.deliveryId, right: true },
        { title: 'FIRED', of: (row) => ago(row.createdAt, now) },
        { title: 'RULE', of: (row) => row.rule },
        { title: 'TO', of: (row) => row.receiver },
        { title: 'EVENTS', of: (row) => row.events, right: true },
        { title: 'STATE', of: (row) => row.state },
        { title: 'TRIES', of: (row) => row.attempts, right: true },
        { title: 'OUTCOME', of: (row) => row.outcome },
      ]),
    )
  })

  withHub(
    rule
      .command('retry')
      .argument('[ids...]', 'deliveries that were given up')
      .option('--receiver <name>', 'all that were given up for this receiver')
      .description('try deliveries again that were given up')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop rule retry --receiver guard'),
  ).action(async (ids: string[], options: Options & { receiver?: string }) => {
    const hub = await connectHub(options)
    const { receiver } = options
    if (ids.length === 0 && receiver === undefined) {
      throw new UsageFailure('Cannot tell what to try again: give ids, or --receiver NAME')
    }
    const answer = await hub.call('deliveryRetry', {
      body: {
        ...(ids.length === 0 ? {} : { deliveryIds: ids.map(idOf) }),
        ...(receiver === undefined ? {} : { receiver }),
      },
    })
    if (options.json) return printJson(answer)
    console.log(
      answer.retried === 1
        ? '1 delivery is tried again'
        : `${answer.retried} deliveries are tried again`,
    )
  })
  return rule
}

function idOf(text: string): number {
  const id = Number(text)
  if (Number.isSafeInteger(id) && id > 0) return id
  throw new UsageFailure(
    `Cannot use "${plain(text)}" as a delivery: give the number of the first column`,
  )
}

/** Adds what says which events are meant. */
const withRule = (command: Command): Command =>
  withHub(
    command
      .option(
        '--file <file>',
        `a rule in YAML or JSON, as ${pathOf(routes.rulePut, { name: 'NAME' })} takes it`,
      )
      .option('--kind <kind>', 'kind of event; may be given several times', gather)
      .option('--label <label>', 'label; may be given several times', gather)
      .option('--zone <zone>', 'zone; may be given several times', gather)
      .option('--line <line>', 'line; may be given several times', gather)
      .option('--alarm <code>', 'code of an alarm; may be given several times', gather)
      .option('--device <id>', 'device; may be given several times', gather)
      .option('--site <site>', 'site; may be given several times', gather)
      .option('--stream <id>', 'stream; may be given several times', gather)
      .option('--tag <tag>', 'devices with this tag; may be given several times', gather)
      .option('--score <score>', 'at least this score', number(0, 1))
      .option('--count <n/seconds>', 'only when so many come within a time: 10/60', countOf)
      .addOption(
        new Option('--by <parts...>', 'count and silence apart by these').choices([
          ...ruleGroupings,
        ]),
      )
      .option('--cool-down <seconds>', 'silent after a firing', integer(0, 86_400))
      .option('--gather <seconds>', 'wait for more, and tell all at once', integer(0, 3600))
      .option('--tell <receiver>', 'who is told; may be given several times', gather),
  )

function countOf(text: string): { atLeast: number; withinSeconds: number } {
  const [, atLeast, withinSeconds] = /^(\d+)\/(\d+)$/.exec(text) ?? []
  if (atLeast === undefined || withinSeconds === undefined) {
    throw new InvalidArgumentError('write how many within how many seconds: 10/60')
  }
  return { atLeast: Number(atLeast), withinSeconds: Number(withinSeconds) }
}

/** The rule in a file, or that of the options; what it says is checked by the hub. */
async function ruleOf(options: RuleOptions): Promise<EventRule> {
  const off = options.off ? { enabled: false } : {}
  if (options.file !== undefined) {
    try {
      const read = parse(await readFile(options.file, 'utf8')) as EventRule
      return { ...read, tell: options.tell ?? read.tell ?? [], ...off }
    } catch (cause) {
      throw new Failure(
        `Cannot read the rule in "${options.file}": ${(cause as Error).message}`,
        undefined,
        { cause },
      )
    }
  }
  const { kind, label, zone, line, alarm, device, site, stream, tag, score } = options
  const lists = {
    kinds: kind,
    labels: label,
    zones: zone,
    lines: line,
    alarmCodes: alarm,
    devices: device,
    sites: site,
    streams: stream,
    tags: tag,
    scoreMin: score,
  }
  const when = Object.fromEntries(Object.entries(lists).filter(([, value]) => value !== undefined))
  const { count, by, coolDown, gather: gathers } = options
  return {
    when: when as EventRule['when'],
    ...(count === undefined ? {} : { count }),
    ...(by === undefined ? {} : { groupBy: by }),
    ...(coolDown === undefined ? {} : { coolDownSeconds: coolDown }),
    ...(gathers === undefined ? {} : { gatherSeconds: gathers }),
    tell: options.tell ?? [],
    ...off,
  }
}
