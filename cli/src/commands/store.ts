/** `edgeloop store …`: what the hub keeps, looked at and moved as a whole. */
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StoreAddress } from '@edgeloop/cloud-hub'
import type { StoreBackup } from '@edgeloop/protocol'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { dataOption, hubOption, jsonOption, tokenOption } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { version } from '../version.ts'

type InfoOptions = { store?: string; data: string; json?: boolean }
type BackupOptions = HubOptions & { json?: boolean }
type RestoreOptions = { data: string; json?: boolean }
type MoveOptions = { from?: string; to: string; data: string; json?: boolean }

/** How often progress is told. */
const progressIntervalMs = 500
const pollIntervalMs = 300

export function storeCommand(): Command {
  const store = new Command('store')
    .description('look at what the hub keeps, back it up, restore it, and move it elsewhere')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop store info
  $ ./edgeloop store info --store postgres://edgeloop:secret@db/edgeloop --json
  $ ./edgeloop store backup /mnt/backups/monday                           also while it runs
  $ ./edgeloop store restore /mnt/backups/monday
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
  store
    .command('backup')
    .argument('[dir]', 'folder that is not there yet (default: backups/ in the data folder)')
    .description('make a backup of the embedded store, also while the hub runs')
    .addOption(jsonOption())
    .addOption(hubOption())
    .addOption(tokenOption())
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
The folder holds the database as of one moment, pictures, and the keys of the hub: keep it as safe as those.

Example:
  $ ./edgeloop store backup /mnt/backups/monday`,
    )
    .action(backup)
  store
    .command('restore')
    .argument('<dir>', 'folder of a backup')
    .description('make an empty data folder a hub again; a damaged backup is refused')
    .addOption(jsonOption())
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
Example:
  $ mv .edgeloop/hub .edgeloop/hub.old
  $ ./edgeloop store restore /mnt/backups/monday`,
    )
    .action(restore)
  store
    .command('retention')
    .description('remove what is older than it is kept, as the hub does by its schedule')
    .option('--dry-run', 'only say what would be removed')
    .addOption(jsonOption())
    .addOption(hubOption())
    .addOption(tokenOption())
    .addOption(dataOption())
    .addHelpText('after', '\nExample:\n  $ ./edgeloop store retention --dry-run')
    .action(retention)
  return store
}

async function retention(
  options: HubOptions & { dryRun?: boolean; json?: boolean },
): Promise<void> {
  const hub = await connectHub(options)
  const found = await hub.call(options.dryRun ? 'retentionShow' : 'retentionBegin', {})
  if (options.json) {
    printJson(found)
    return
  }
  console.log(
    formatTable(found.kinds, [
      { title: 'KIND', of: (row) => row.kind },
      { title: 'KEPT', of: (row) => `${row.keptDays} d`, right: true },
      { title: options.dryRun ? 'WOULD GO' : 'GOES', of: (row) => row.expired, right: true },
      { title: 'OLDEST THAT STAYS', of: (row) => row.oldestKeptAt ?? 'none' },
    ]),
  )
  const next = found.nextAt === null ? '' : `; next by itself at ${found.nextAt}`
  process.stderr.write(
    `${options.dryRun ? 'nothing was removed' : 'the hub is removing it'}${next}\n`,
  )
}

async function backup(folder: string | undefined, options: BackupOptions): Promise<void> {
  const signal = stopSignal()
  const made = await makeByHub(options, signal)
  const row = made ?? (await makeHere(options.data, folder, signal))
  if (made && folder !== undefined) {
    await carry(made.folder, resolve(folder))
    row.folder = resolve(folder)
  }
  if (options.json) printJson(row)
  else console.log(row.folder)
  const pictures =
    row.pictures === null
      ? 'without pictures, which are kept elsewhere'
      : `${row.pictures} pictures`
  process.stderr.write(`${bytes(row.databaseBytes)} of database, ${pictures}\n`)
}

type Made = Pick<StoreBackup, 'folder' | 'databaseBytes' | 'pictures'>

/** A backup by the hub that runs; undefined where none was named and none has the store open. */
async function makeByHub(options: BackupOptions, signal: AbortSignal): Promise<Made | undefined> {
  const named = options.hub !== undefined || process.env.EDGELOOP_HUB !== undefined
  const { isOpen } = await import('@edgeloop/cloud-hub')
  const address = await addressOf(undefined, options.data)
  if (!named && !(await isOpen(address))) return undefined
  const hub = await connectHub(options)
  const { name } = await hub.call('storeBackupBegin', { signal })
  for (;;) {
    const backups = await hub.call('storeBackupList', { signal })
    const found = backups.find((each) => each.name === name)
    if (found?.state === 'whole') return found
    if (found?.state !== 'making') {
      throw new Failure(found?.problem ?? `Cannot find the backup "${name}": the hub has lost it`)
    }
    await sleep(pollIntervalMs, undefined, { signal })
  }
}

async function makeHere(
  data: string,
  given: string | undefined,
  signal: AbortSignal,
): Promise<Made> {
  const { makeBackup } = await import('@edgeloop/cloud-hub')
  const address = await addressOf(undefined, data)
  if (address.kind !== 'sqlite') {
    throw new Failure(
      'Cannot back up a store in PostgreSQL from here',
      'use pg_dump, and keep a copy of keys and blobs in the data folder',
    )
  }
  const dataDir = join(resolve(data), 'hub')
  const name = new Date().toISOString().replaceAll(/[:.]/g, '-')
  const folder = given === undefined ? join(dataDir, 'backups', name) : resolve(given)
  const blobs = (await stat(join(dataDir, 'blobs')).catch(() => undefined)) !== undefined
  const manifest = await makeBackup({
    file: address.file,
    dataDir,
    folder,
    blobs,
    version,
    now: Date.now(),
    signal,
  })
  const database = manifest.files.find((file) => file.name === 'hub.db')
  return { folder, databaseBytes: database?.sizeBytes ?? 0, pictures: manifest.blobs }
}

/** To where it is wanted, also on another disk; there it is read again before the first one goes. */
async function carry(from: string, to: string): Promise<void> {
  if (await stat(to).catch(() => undefined)) {
    throw new Failure(`Cannot put the backup at "${to}": it exists already`, `it is at ${from}`)
  }
  await mkdir(dirname(to), { recursive: true })
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    const { checkBackup } = await import('@edgeloop/cloud-hub')
    await cp(from, to, { recursive: true, errorOnExist: true, force: false })
    await checkBackup(to)
    await rm(from, { recursive: true })
  }
}

async function restore(folder: string, options: RestoreOptions): Promise<void> {
  const signal = stopSignal()
  const { restoreBackup } = await import('@edgeloop/cloud-hub')
  const dataDir = join(resolve(options.data), 'hub')
  const manifest = await restoreBackup(resolve(folder), dataDir, signal)
  if (options.json) printJson({ dataDir, at: manifest.at, pictures: manifest.blobs })
  else console.log(dataDir)
  process.stderr.write(`as of ${manifest.at}; every byte was checked. Start the hub on it\n`)
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
