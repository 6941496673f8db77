/** `edgeloop rollout …`: moving devices to a model version, stage by stage. */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import {
  approvals,
  busyRules,
  careDoubts,
  isRolloutOver,
  type MaintenanceWindow,
  type RolloutDetail,
  type RolloutPreview,
  type RolloutRequest,
  type RolloutRow,
  type RolloutStage,
  rollBackScopes,
  type StageRequest,
} from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { parse } from 'yaml'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { gather, integer, number, withHub } from '../options.ts'
import { ago, bytes, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type CreateOptions = Options & {
  all?: true
  site?: string[]
  tag?: string[]
  target?: string[]
  device?: string[]
  stages?: string
  soak?: number
  rate?: number
  window?: string[]
  approval?: (typeof approvals)[number]
  join?: true
  wait?: true
  onStop?: (typeof rollBackScopes)[number]
  shadow?: number
  probation?: number
  limit?: number
  note?: string
  plan?: string
  dryRun?: true
  yes?: true
  watch?: true
}

const lookIntervalMs = 1000
const minuteMs = 60_000
const barCells = 30

export function rolloutCommand(): Command {
  const rollout = new Command('rollout')
    .description('Move devices to a model version, stage by stage')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop rollout create gate/4 --all --dry-run      which devices it would hit
  $ ./edgeloop rollout create gate/4 --all --yes --watch
  $ ./edgeloop rollout create gate/4 --tag pilot --stages 10,50,100 --soak 60
  $ ./edgeloop rollout create gate/4 --site mill --window "mon-fri 22:00-05:00"
  $ ./edgeloop rollout watch 8c0e7d52                     an id, or how it begins
  $ ./edgeloop rollout abort 8c0e7d52 --roll-back
  $ ./edgeloop rollout retry 8c0e7d52 --device gate-7`,
    )

  withHub(
    rollout
      .command('create')
      .argument('<name/version>', 'a published model version')
      .description('begin to move devices to a version; asks first, after saying what it hits')
      .option('--all', 'every device')
      .option('--site <site>', 'devices of this site; may be given several times', gather)
      .option('--tag <tag>', 'devices with this tag; may be given several times', gather)
      .option('--target <kind>', 'this kind of box; may be given several times', gather)
      .option('--device <id>', 'this device; may be given several times', gather)
      .option('--stages <percent>', 'shares of the devices: 1,5,25,100')
      .option('--soak <minutes>', 'watched time after each stage', number(0, 43_200))
      .option('--rate <devices>', 'offers a minute, at first', number(0.01, 100_000))
      .option(
        '--window <days hours>',
        'such as "mon-fri 22:00-05:00"; may be given several times',
        gather,
      )
      .addOption(
        new Option('--approval <when>', 'when somebody has to approve').choices([...approvals]),
      )
      .option('--join', 'devices that fit only later take part')
      .option('--wait', `wait for rollouts of the same model instead of taking their devices over`)
      .addOption(
        new Option('--on-stop <who>', 'what goes back when it stops').choices([...rollBackScopes]),
      )
      .option('--shadow <minutes>', 'time beside the active model', number(0, 1440))
      .option('--probation <minutes>', 'watched time after it took over', number(0, 1440))
      .option('--limit <bytes>', 'bytes a second of one device', integer(1024, 1_000_000_000))
      .option('--note <text>', 'why')
      .option(
        '--plan <file>',
        'a plan as YAML or JSON, in the form of the API; options come on top',
      )
      .option('--dry-run', 'only say which devices it would hit')
      .option('--yes', 'do not ask')
      .option('--watch', 'stay until it is over; Ctrl-C leaves it running'),
  ).action(create)

  withHub(
    rollout
      .command('list')
      .description('list the newest rollouts')
      .option('--model <name>', 'only those of a model'),
  ).action(async (options: Options & { model?: string }) => {
    const hub = await connectHub(options)
    const query = options.model === undefined ? {} : { name: options.model }
    const rows = await hub.call('rolloutList', { query })
    if (options.json) {
      for (const row of rows) printJson(row)
      return
    }
    if (rows.length === 0) {
      process.stderr.write(
        'There are no rollouts yet. Begin one: ./edgeloop rollout create NAME/VERSION --all\n',
      )
      return
    }
    const now = Date.now()
    console.log(
      formatTable(rows, [
        { title: 'ID', of: (row) => row.rolloutId.slice(0, 8) },
        { title: 'MODEL', of: (row) => `${row.name}/${row.version}` },
        { title: 'STATE', of: (row) => row.state },
        { title: 'STAGE', of: (row) => `${row.stage + 1}/${row.stages} ${row.stageName}` },
        { title: 'DONE', of: ({ counts }) => `${counts.confirmed}/${counts.devices}`, right: true },
        { title: 'FAILED', of: ({ counts }) => counts.failed, right: true },
        { title: 'BEGUN', of: (row) => ago(row.createdAt, now) },
        { title: 'WHY', of: (row) => row.why },
      ]),
    )
  })

  withId(rollout, 'show', 'show one rollout: stages, what was decided, devices in trouble').action(
    async (id: string, options: Options) => {
      const hub = await connectHub(options)
      const { rolloutId } = await find(hub, id)
      const detail = await hub.call('rolloutShow', { params: { rolloutId } })
      if (options.json) return printJson(detail)
      console.log(drawn(detail).join('\n'))
      console.log('')
      for (const { at, act, text, by } of detail.decisions.slice(0, 10).reverse()) {
        console.log(plain(`${at.slice(0, 19)}Z  ${act}${by === '' ? '' : ` by ${by}`}: ${text}`))
      }
      await showTroubled(hub, rolloutId)
    },
  )

  withId(rollout, 'watch', 'show how far a rollout is, until it is over').action(
    async (id: string, options: Options) => {
      const hub = await connectHub(options)
      await watch(hub, await find(hub, id), options)
    },
  )

  const act = (name: 'pause' | 'resume', route: 'rolloutPause' | 'rolloutResume', text: string) =>
    withId(rollout, name, text).action(async (id: string, options: Options) => {
      const hub = await connectHub(options)
      const { rolloutId } = await find(hub, id)
      say(await hub.call(route, { params: { rolloutId } }), options)
    })
  act('pause', 'rolloutPause', 'offer it to no further device until it is resumed')
  act('resume', 'rolloutResume', 'let a paused rollout go on')

  withId(rollout, 'abort', 'end a rollout')
    .option('--roll-back', 'devices that took the version up go back')
    .action(async (id: string, options: Options & { rollBack?: true }) => {
      const hub = await connectHub(options)
      const { rolloutId } = await find(hub, id)
      const body = { rollBack: options.rollBack === true }
      say(await hub.call('rolloutAbort', { params: { rolloutId }, body }), options)
    })

  withId(rollout, 'approve', 'approve the stage that a held rollout waits before').action(
    async (id: string, options: Options) => {
      const hub = await connectHub(options)
      const { rolloutId, state, stage } = await find(hub, id)
      const { stages } = await hub.call('rolloutShow', { params: { rolloutId } })
      if (state !== 'held') throw new Failure(`Cannot approve the rollout: it is ${state}`)
      // Held before its first stage, or before the one after where it is.
      const body = { stage: stages[stage]?.startedAt === null ? stage : stage + 1 }
      say(await hub.call('rolloutApprove', { params: { rolloutId }, body }), options)
    },
  )

  withId(rollout, 'retry', 'offer it once more to devices that failed')
    .option('--device <id>', 'only this one; may be given several times', gather)
    .action(async (id: string, options: Options & { device?: string[] }) => {
      const hub = await connectHub(options)
      const { rolloutId } = await find(hub, id)
      const body = options.device ? { devices: options.device } : {}
      say(await hub.call('rolloutRetry', { params: { rolloutId }, body }), options)
    })
  return rollout
}

const withId = (rollout: Command, name: string, description: string): Command =>
  withHub(
    rollout
      .command(name)
      .argument('<id>', 'id of the rollout, or how it begins')
      .description(description)
      .addHelpText('after', `\nExample:\n  $ ./edgeloop rollout ${name} 8c0e7d52`),
  )

async function create(model: string, options: CreateOptions): Promise<void> {
  const request = await requestOf(model, options)
  const hub = await connectHub(options)
  if (options.dryRun || !options.yes) {
    const preview = await hub.call('rolloutPreview', { body: request })
    if (options.json && options.dryRun) printJson(preview)
    else process[options.dryRun ? 'stdout' : 'stderr'].write(`${describe(preview).join('\n')}\n`)
    if (options.dryRun) return
    if (preview.refused) throw new Failure(preview.refused)
    if (!(await isConfirmed(preview.devices))) {
      throw new Failure('Nothing was begun', 'add --yes to begin without being asked')
    }
  }
  const detail = await hub.call('rolloutCreate', { body: request })
  if (options.watch) return await watch(hub, detail.rollout, options)
  if (options.json) return printJson(detail)
  const { rolloutId, counts } = detail.rollout
  console.log(`Rollout ${rolloutId} of ${counts.devices} devices is ${detail.rollout.state}`)
  process.stderr.write(`See how it goes with ./edgeloop rollout watch ${rolloutId.slice(0, 8)}\n`)
}

/** @throws {UsageFailure} for what is no plan */
async function requestOf(model: string, options: CreateOptions): Promise<RolloutRequest> {
  const match = /^([a-z0-9_.-]+)\/(\d+)$/.exec(model)
  if (!match)
    throw new UsageFailure(`Cannot roll out "${model}": write NAME/VERSION, such as gate/4`)
  const [, name = '', version = ''] = match
  const file = options.plan === undefined ? {} : ((await readPlan(options.plan)) as object)
  const { site: sites, tag: tags, target: targets, device: devices } = options
  const select = {
    ...(options.all && { all: true as const }),
    ...(sites && { sites }),
    ...(tags && { tags }),
    ...(targets && { targets }),
    ...(devices && { devices }),
  }
  const soak = options.soak === undefined ? {} : { soakMs: options.soak * minuteMs }
  const care = {
    ...(options.shadow !== undefined && { shadowMs: options.shadow * minuteMs }),
    ...(options.probation !== undefined && { probationMs: options.probation * minuteMs }),
  }
  const stages = options.stages ?? (options.soak === undefined ? undefined : '1,5,25,100')
  const request = {
    ...file,
    name,
    version: Number(version),
    ...(Object.keys(select).length > 0 && { select }),
    ...(stages !== undefined && { stages: stagesOf(stages, soak) }),
    ...(options.rate !== undefined && { rate: { perMinute: options.rate } }),
    ...(options.window && { windows: options.window.map(windowOf) }),
    ...(options.approval && { approval: options.approval }),
    ...(options.join && { join: true }),
    ...(options.wait && { whenBusy: busyRules[1] }),
    ...(options.onStop && { onStop: options.onStop }),
    ...(Object.keys(care).length > 0 && { care }),
    ...(options.limit !== undefined && { bytesPerSecondMax: options.limit }),
    ...(options.note !== undefined && { note: options.note }),
  } as RolloutRequest
  if (request.select) return request
  throw new UsageFailure(
    'Cannot roll out to nobody: say --all, --site, --tag, --target or --device',
  )
}

async function readPlan(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Failure(`Cannot read the plan: ${error.message}`)
  })
  const plan: unknown = parse(text)
  if (plan !== null && typeof plan === 'object' && !Array.isArray(plan)) return plan
  throw new Failure(`Cannot use "${file}" as a plan: it is not a list of names and values`)
}

/** @throws {UsageFailure} */
export function stagesOf(text: string, soak: { soakMs?: number }): StageRequest[] {
  return text.split(',').map((part, index) => {
    const percent = Number(part.trim().replace(/%$/, ''))
    if (!(percent > 0 && percent <= 100)) {
      throw new UsageFailure(
        `Cannot use "${part}" as a stage: write shares in percent, such as 1,5,25,100`,
      )
    }
    const first = index === 0 && percent < 100 ? { name: 'canary', devicesMin: 10 } : {}
    return { share: percent / 100, ...first, ...soak }
  })
}

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

/** @throws {UsageFailure} for what is no window: `mon-fri 22:00-05:00`, `sat,sun 00:00-24:00` */
export function windowOf(text: string): MaintenanceWindow {
  const refuse = (why: string) =>
    new UsageFailure(`Cannot use "${text}" as a window: ${why}; write it as "mon-fri 22:00-05:00"`)
  const match = /^(?:([a-z,-]+)\s+)?(\d{2}:\d{2})-(\d{2}:\d{2})$/.exec(text.trim().toLowerCase())
  if (!match) throw refuse('it is no days and hours')
  const [, days = 'mon-sun', from = '', to = ''] = match
  const numbers = days.split(',').flatMap((part) => {
    const [first, last] = part.split('-').map((name) => dayNames.indexOf(name) + 1)
    if (!first || last === 0) throw refuse(`"${part}" is no day`)
    const count = last === undefined ? 1 : ((last - first + 7) % 7) + 1
    return Array.from({ length: count }, (_, index) => ((first - 1 + index) % 7) + 1)
  })
  const end = to === '24:00' ? '00:00' : to
  return { days: [...new Set(numbers)].sort(), from, to: end }
}

const devicesText = (count: number): string => (count === 1 ? '1 device' : `${count} devices`)

function describe(preview: RolloutPreview): string[] {
  const { plan, devices, stages, leftOut, busy, bytes: cost } = preview
  const lines = [`Version ${plan.version} of ${plan.name} for ${devicesText(devices)}:`]
  for (const { name, devices: count, reachable, first } of stages) {
    const some = first.slice(0, 5).join(', ')
    const more = count > 5 ? `, and ${count - 5} more` : ''
    lines.push(
      `  ${name.padEnd(10)} ${String(count).padStart(6)}  ${reachable} reachable  ${some}${more}`,
    )
  }
  lines.push(`To be sent: ${bytes(cost.expected)}; whole files would be ${bytes(cost.whole)}`)
  for (const { reason, devices: count, first } of leftOut) {
    lines.push(
      `Left out, ${count}: ${reason} (${first.slice(0, 5).join(', ')}${count > 5 ? ', …' : ''})`,
    )
  }
  for (const { rolloutId, version, devices: count } of busy) {
    const what = plan.whenBusy === 'wait' ? 'waits for' : 'takes over from'
    lines.push(
      `It ${what} rollout ${rolloutId.slice(0, 8)} of version ${version}, on ${devicesText(count)}`,
    )
  }
  lines.push(...careDoubts(plan.care))
  if (preview.refused !== '') lines.push(preview.refused)
  return lines.map(plain)
}

async function isConfirmed(devices: number): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test(
      (await asking.question(`Begin, on ${devicesText(devices)}? [y/N] `)).trim(),
    )
  } finally {
    asking.close()
  }
}

/** @throws {Failure} where none or several begin so */
async function find(hub: HubClient, id: string): Promise<RolloutRow> {
  const rows = await hub.call('rolloutList', {})
  const fitting = rows.filter(({ rolloutId }) => rolloutId.startsWith(id))
  const [row] = fitting
  if (row && fitting.length === 1) return row
  if (row) throw new Failure(`Cannot say which rollout "${id}" is: ${fitting.length} begin so`)
  if (id.length === 36)
    return (await hub.call('rolloutShow', { params: { rolloutId: id } })).rollout
  throw new Failure(`Cannot find a rollout that begins with "${id}"`, 'see ./edgeloop rollout list')
}

function say(detail: RolloutDetail, { json }: Options): void {
  if (json) {
    printJson(detail)
    return
  }
  const { rolloutId, state, why } = detail.rollout
  console.log(plain(`Rollout ${rolloutId.slice(0, 8)} is ${state}${why === '' ? '' : `: ${why}`}`))
}

/** Draws on standard error until it is over; what came of it goes to standard output. */
async function watch(hub: HubClient, { rolloutId }: RolloutRow, options: Options): Promise<void> {
  let lines = 0
  let said = ''
  for (;;) {
    const detail = await hub.call('rolloutShow', { params: { rolloutId } })
    const picture = drawn(detail)
    const text = process.stderr.isTTY ? picture.join('\n') : lineOf(detail.rollout)
    if (text !== said) {
      if (process.stderr.isTTY && lines > 0) process.stderr.write(`\u001b[${lines}F\u001b[J`)
      process.stderr.write(`${text}\n`)
      lines = picture.length
    }
    said = text
    const { counts } = detail.rollout
    if (isRolloutOver(detail.rollout) && counts.active === 0 && counts.goingBack === 0) {
      say(detail, options)
      if (detail.rollout.state === 'stopped') throw new Failure(detail.rollout.why)
      return
    }
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
}

const lineOf = ({ state, stageName, counts, why }: RolloutRow): string =>
  plain(
    `${state}, ${stageName}: ${counts.confirmed} of ${counts.devices} run it, ${counts.active + counts.committed} on their way, ${counts.failed} failed${why === '' ? '' : `; ${why}`}`,
  )

/** A rollout as lines of text: what it is, its stages, what it cost. */
export function drawn({ rollout, stages }: RolloutDetail): string[] {
  const { name, version, state, why, counts, bytes: cost, offersPerMinute } = rollout
  const saved =
    cost.whole > 0
      ? `, ${Math.round((1 - cost.fromHub / cost.whole) * 100)} % less than whole files`
      : ''
  const rate = offersPerMinute > 0 ? `, ${+offersPerMinute.toFixed(1)} offers a minute` : ''
  return [
    `${name}/${version} is ${state}: ${why}`,
    ...stages.flatMap(stageLines),
    `${counts.confirmed} of ${counts.devices} run it, ${counts.active} on their way, ${counts.failed} failed, ${counts.ended} given up${rate}`,
    `${bytes(cost.fromHub)} sent by the hub, ${bytes(cost.fromMirrors)} from box to box${saved}`,
  ].map(plain)
}

function stageLines(stage: RolloutStage): string[] {
  const { name, state, counts, quality, wants } = stage
  const cells = (count: number) =>
    counts.devices === 0 ? 0 : Math.round((count / counts.devices) * barCells)
  const [done, failed] = [cells(counts.confirmed), cells(counts.failed)]
  const active = Math.max(
    0,
    Math.min(barCells - done - failed, cells(counts.active + counts.committed)),
  )
  const bar = `${'█'.repeat(done)}${'▒'.repeat(active)}${'×'.repeat(failed)}`
    .padEnd(barCells, '·')
    .slice(0, barCells)
  const agreement =
    quality.agreement === null ? '' : `, ${Math.round(quality.agreement * 100)} % agree`
  const head = `  ${name.slice(0, 10).padEnd(10)} ${bar} ${counts.confirmed}/${counts.devices} ${state}${agreement}`
  return wants === '' ? [head] : [head, `             ${wants}`]
}

async function showTroubled(hub: HubClient, rolloutId: string): Promise<void> {
  const { boxes } = await hub.call('rolloutBoxList', {
    params: { rolloutId },
    query: { limit: 500 },
  })
  const troubled = boxes.filter(({ reason, state }) => reason !== '' && state !== 'committed')
  if (troubled.length === 0) return
  const rows = troubled.slice(0, 20)
  console.log(
    `\n${formatTable(rows, [
      { title: 'DEVICE', of: (box) => box.deviceId },
      { title: 'STAGE', of: (box) => box.stage + 1, right: true },
      { title: 'STATE', of: (box) => box.state },
      { title: 'CODE', of: (box) => box.code ?? '' },
      { title: 'WHY', of: (box) => box.reason },
    ])}`,
  )
  if (troubled.length > rows.length) console.log(`… and ${troubled.length - rows.length} more`)
}
