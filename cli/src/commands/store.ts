/** `edgeloop store …`: what the hub keeps, looked at and moved as a whole. */
import { join, resolve } from 'node:path'
import type { StoreAddress } from '@edgeloop/cloud-hub'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import { dataOption, jsonOption } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type InfoOptions = { store?: string; data: string; json?: boolean }
type MoveOptions = { from?: string; to: string; data: string; json?: boolean }

/** How often progress is told. */
const progressIntervalMs = 500

export function storeCommand(): Command {
  const store = new Command('store')
    .description('look at what the hub keeps, and move it to another database')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop store info
  $ ./edgeloop store info --store postgres://edgeloop:secret@db/edgeloop --json
  $ ./edgeloop store move --to postgres://edgeloop:secret@db/edgeloop     the hub stopped
  $ ./edgeloop store move --from postgres://edgeloop:secret@db/edgeloop --to hub.db`,
    )
  store
    .command('info')
    .description('say what is in a store; a hub may have it open')
    .option('--store <url>', 'postgres://… or a file (or EDGELOOP_HUB_STORE; default: in --data)')
    .addOption(jsonOption())
    .addOption(dataOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop store info')
    .action(info)
  store
    .command('move')
    .description('copy everything into an empty store and prove it; the source stays as it is')
    .option('--from <url>', 'postgres://… or a file (or EDGELOOP_HUB_STORE; default: in --data)')
    .requiredOption('--to <url>', 'postgres://… of an empty database, or a file that is not there')
    .addOption(jsonOption())
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
Snapshots and keys stay in the data folder. Stop the hub first, and start it with --store afterwards.

Example:
  $ ./edgeloop store move --to postgres://edgeloop:secret@db/edgeloop`,
    )
    .action(move)
  return store
}

async function info(options: InfoOptions): Promise<void> {
  const { describeStore } = await import('@edgeloop/cloud-hub')
  const found = await describeStore(await addressOf(options.store, options.data))
  if (options.json) {
    printJson(found)
    return
  }
  const facts: [string, string][] = [
    ['store', `${found.store} (${{ sqlite: 'SQLite', postgres: 'PostgreSQL' }[found.kind]})`],
    ['size', bytes(found.sizeBytes)],
    ['schema', found.schema ?? 'none yet'],
    ['in use', found.open ? 'by a hub' : 'no'],
    ['events', `${found.oldestEventAt ?? 'none'} … ${found.newestEventAt ?? 'none'}`],
  ]
  for (const [name, value] of facts) console.log(`${name.padEnd(8)}${value}`)
  console.log()
  console.log(
    formatTable(found.tables, [
      { title: 'TABLE', of: (row) => row.table },
      { title: 'ROWS', of: (row) => row.rows, right: true },
    ]),
  )
}

async function move(options: MoveOptions): Promise<void> {
  const signal = stopSignal()
  const { moveStore } = await import('@edgeloop/cloud-hub')
  const from = await addressOf(options.from, options.data)
  const to = await addressOf(options.to, options.data)
  if (from.shown === to.shown) {
    throw new Failure(`Cannot move "${from.shown}" to itself`, 'name another place with --to')
  }
  const started = Date.now()
  let toldAt = 0
  let before = 0
  let current = ''
  let rowsBefore = 0
  const moved = await moveStore(from, to, {
    signal,
    progress: ({ table, rows, of }) => {
      if (table !== current) before += rowsBefore
      current = table
      rowsBefore = rows
      const now = Date.now()
      if (now - toldAt < progressIntervalMs) return
      toldAt = now
      const perSecond = Math.round(((before + rows) * 1000) / Math.max(1, now - started))
      process.stderr.write(`${table}: ${rows} of ${of} rows, ${perSecond} rows/s\n`)
    },
  })
  if (options.json) {
    printJson(moved)
    return
  }
  console.log(
    formatTable(moved.tables, [
      { title: 'TABLE', of: (row) => row.table },
      { title: 'ROWS', of: (row) => row.rows, right: true },
      { title: 'DIGEST', of: (row) => row.digest.slice(0, 16) },
    ]),
  )
  const seconds = Math.round((Date.now() - started) / 1000)
  process.stderr.write(
    `${moved.rows} rows are at ${moved.to}, read again and equal (${seconds} s)\n`,
  )
  if (moved.replaced > 0) {
    process.stderr.write(`${moved.replaced} texts had a NUL, which became U+FFFD there\n`)
  }
  process.stderr.write(`hint: start the hub with --store, or with EDGELOOP_HUB_STORE\n`)
}

/** The store that is named, or that of the hub in `data`. */
async function addressOf(given: string | undefined, data: string): Promise<StoreAddress> {
  const { parseStoreAddress } = await import('@edgeloop/cloud-hub')
  const text = given ?? process.env.EDGELOOP_HUB_STORE ?? ''
  return parseStoreAddress(text, join(resolve(data), 'hub', 'hub.db'))
}
