/**
 * A backup of the embedded store while it runs: a folder with the database as of one moment, the keys without which
 * no device would know the hub again, and the pictures, each with its digest, and a manifest over all of it.
 * A restore checks everything before it touches anything.
 */
import { createHash } from 'node:crypto'
import { createReadStream, type Dirent } from 'node:fs'
import {
  chmod,
  constants,
  copyFile,
  link,
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { parse } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { SqliteConnection } from './sqlite-connection.ts'
import { knownSteps, readSqlite } from './store-ends.ts'

const manifestName = 'manifest.json'
const blobListName = 'blobs.txt'
const databaseName = 'hub.db'
/** What a hub keeps in its data folder beside database and blobs, and cannot make anew. */
const keptBeside = ['keys', 'local-token']
/** Folders of files under their digests: snapshots, models with what was compiled of them, and samples. */
const blobRooms = ['blobs', 'models', 'samples'] as const
const roomWords: Readonly<Record<string, string>> = {
  blobs: 'picture',
  models: 'model file',
  samples: 'sample',
}
/** More than any manifest has; what is longer is none. */
const manifestBytesMax = 1024 * 1024

const FileEntry = Type.Object(
  {
    /** Path inside the backup; nothing that leads out of it. */
    name: Type.String({
      pattern: '^(?!.*\\.\\.)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$',
      maxLength: 300,
    }),
    sizeBytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  },
  { additionalProperties: false },
)
export const BackupManifest = Type.Object(
  {
    format: Type.Literal('edgeloop-backup-1'),
    at: Type.String(),
    version: Type.String(),
    /** Newest step of the database's schema. */
    schema: Type.String(),
    /** Null where blobs are kept elsewhere. */
    blobs: Type.Union([Type.Null(), Type.Integer({ minimum: 0 })]),
    blobBytes: Type.Integer({ minimum: 0 }),
    files: Type.Array(FileEntry, { maxItems: 1000 }),
  },
  { additionalProperties: false },
)
export type BackupManifest = Static<typeof BackupManifest>

/**
 * Makes a backup at `folder`, which must not exist; it appears there when it is whole. The store may be in use.
 * @param given.blobs false where blobs are not in the data folder
 * @throws {Error} when `folder` exists, something cannot be read or written, or `signal` aborts
 */
export async function makeBackup(given: {
  file: string
  dataDir: string
  folder: string
  blobs: boolean
  version: string
  now: number
  signal?: AbortSignal
}): Promise<BackupManifest> {
  const { dataDir, folder, signal } = given
  if (await statOf(folder))
    throw new Error(`Cannot make a backup at "${folder}": it exists already`)
  const draft = `${folder}.partial`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true, mode: 0o700 })
  try {
    const schema = await copyDatabase(given.file, join(draft, databaseName))
    const names = [databaseName]
    for (const kept of keptBeside) {
      for (const name of await filesUnder(dataDir, kept)) {
        await copyDurably(join(dataDir, name), join(draft, name))
        names.push(name)
      }
    }
    // After the database: a picture that an event names was there before the event was.
    const blobs = given.blobs ? await linkBlobs(dataDir, draft, signal) : undefined
    if (blobs) names.push(blobListName)
    const files = []
    for (const name of names) files.push(await entryOf(draft, name))
    const manifest: BackupManifest = {
      format: 'edgeloop-backup-1',
      at: new Date(given.now).toISOString(),
      version: given.version,
      schema,
      blobs: blobs?.count ?? null,
      blobBytes: blobs?.sizeBytes ?? 0,
      files,
    }
    await writeManifest(draft, manifest)
    await rename(draft, folder)
    await sync(dirname(folder))
    return manifest
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}

/** `VACUUM INTO` reads one moment of the database and keeps nobody from writing meanwhile. */
async function copyDatabase(from: string, to: string): Promise<string> {
  await using db = await SqliteConnection.open({ file: from, role: 'reader' })
  await db.query('vacuum into ?', [to])
  const { steps } = await readSqlite(db, from, { [Symbol.asyncDispose]: async () => {} })
  await chmod(to, 0o600)
  await sync(to)
  return steps.at(-1) ?? ''
}

/** Blobs never change, so another name for the same bytes is a copy; on another disk they are copied. */
async function linkBlobs(
  from: string,
  draft: string,
  signal: AbortSignal | undefined,
): Promise<{ count: number; sizeBytes: number }> {
  let count = 0
  let sizeBytes = 0
  await using list = await open(join(draft, blobListName), 'wx', 0o600)
  for (const room of blobRooms) {
    for (const shelf of await readdir(join(from, room)).catch(() => [])) {
      if (!/^[0-9a-f]{2}$/.test(shelf)) continue
      await mkdir(join(draft, room, shelf), { recursive: true })
      const lines: string[] = []
      for await (const { name } of await opendir(join(from, room, shelf))) {
        signal?.throwIfAborted()
        const place = join(room, shelf, name)
        if (!(await linkOrCopy(join(from, place), join(draft, place)))) continue
        const { size } = await stat(join(draft, place))
        lines.push(`${room === 'blobs' ? '' : `${room} `}${name} ${size}\n`)
        count++
        sizeBytes += size
      }
      await list.appendFile(lines.join(''))
    }
  }
  await list.sync()
  return { count, sizeBytes }
}

/** False where retention was faster. */
async function linkOrCopy(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return false
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error
    await copyFile(from, to)
    await sync(to)
    return true
  }
}

/**
 * Checks every byte of a backup.
 * @throws {Error} naming the first file that is missing, too much or not what it was
 */
export async function checkBackup(folder: string, signal?: AbortSignal): Promise<BackupManifest> {
  const manifest = await readManifest(folder)
  const bad = (name: string, why: string) =>
    new Error(
      `Cannot use the backup "${folder}": ${name} ${why}. Nothing was changed; take another`,
    )
  for (const { name, sizeBytes, sha256 } of manifest.files) {
    signal?.throwIfAborted()
    const found = await entryOf(folder, name).catch(() => undefined)
    if (!found) throw bad(name, 'is missing')
    if (found.sizeBytes !== sizeBytes || found.sha256 !== sha256) throw bad(name, 'is damaged')
  }
  let blobs = 0
  if (manifest.blobs !== null) {
    for await (const { what, name, place, sizeBytes } of blobsOf(folder)) {
      signal?.throwIfAborted()
      const found = await entryOf(folder, place).catch(() => undefined)
      if (!found) throw bad(`${what} ${name}`, 'is missing')
      if (found.sizeBytes !== sizeBytes || found.sha256 !== name) {
        throw bad(`${what} ${name}`, 'is damaged')
      }
      blobs++
    }
    if (blobs !== manifest.blobs) throw bad(blobListName, `names ${blobs}, not ${manifest.blobs}`)
  }
  await checkDatabase(folder, manifest, bad)
  return manifest
}

async function checkDatabase(
  folder: string,
  { schema, version }: BackupManifest,
  bad: (name: string, why: string) => Error,
): Promise<void> {
  if (!knownSteps.includes(schema)) {
    throw bad(databaseName, `was written by a newer hub (${version}, schema ${schema})`)
  }
  await using db = await SqliteConnection.open({
    file: join(folder, databaseName),
    role: 'reader',
  }).catch(() => {
    throw bad(databaseName, 'is no database')
  })
  const { rows } = await db.query('pragma quick_check(1)')
  const [said] = Object.values(rows[0] ?? {})
  if (said !== 'ok') throw bad(databaseName, `is damaged: ${said}`)
}

/**
 * Makes the data folder of a hub from a backup.
 * @param dataDir must be empty or not there
 * @throws {Error} when it holds anything, or the backup is not whole; nothing is changed then
 */
export async function restoreBackup(
  folder: string,
  dataDir: string,
  signal?: AbortSignal,
): Promise<BackupManifest> {
  const there = await readdir(dataDir).catch(() => [])
  if (there.length > 0) {
    throw new Error(
      `Cannot restore into "${dataDir}": it is not empty. Move it away first, or name another folder with --data`,
    )
  }
  const manifest = await checkBackup(folder, signal)
  const draft = `${dataDir}.restoring`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true, mode: 0o700 })
  try {
    for (const { name } of manifest.files) {
      if (name !== blobListName) await copyDurably(join(folder, name), join(draft, name))
    }
    if (manifest.blobs !== null) {
      for await (const { place } of blobsOf(folder)) {
        signal?.throwIfAborted()
        await copyDurably(join(folder, place), join(draft, place))
      }
    }
    await rm(dataDir, { recursive: true, force: true })
    await rename(draft, dataDir)
    await sync(dirname(dataDir))
    return manifest
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}

/** The manifest, and beside it its digest: a flipped bit in either is seen. */
async function writeManifest(folder: string, manifest: BackupManifest): Promise<void> {
  const text = `${JSON.stringify(manifest, null, 2)}\n`
  for (const [name, content] of [
    [manifestName, text],
    [`${manifestName}.sha256`, `${digestOf(text)}  ${manifestName}\n`],
  ] as const) {
    await writeFile(join(folder, name), content, { mode: 0o600 })
    await sync(join(folder, name))
  }
}

/** @throws {Error} when there is none, or it is damaged */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const path = join(folder, manifestName)
  const size = (await statOf(path))?.size
  if (size === undefined) {
    throw new Error(`Cannot use the backup "${folder}": there is no ${manifestName} in it`)
  }
  const damaged = `Cannot use the backup "${folder}": ${manifestName} is damaged`
  if (size > manifestBytesMax) throw new Error(damaged)
  const text = await readFile(path, 'utf8')
  const said = await readFile(`${path}.sha256`, 'utf8').catch(() => '')
  if (said !== `${digestOf(text)}  ${manifestName}\n`) throw new Error(damaged)
  return parse(BackupManifest, JSON.parse(text), manifestName)
}

/** A file under its digest: `place` is its path inside the backup. */
type Kept = { what: string; name: string; place: string; sizeBytes: number }

async function* blobsOf(folder: string): AsyncGenerator<Kept> {
  const lines = createInterface({ input: createReadStream(join(folder, blobListName)) })
  for await (const line of lines) {
    const [, room = 'blobs', name, size] =
      /^(?:(models|samples) )?([0-9a-f]{64}) (\d+)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`Cannot read ${blobListName}: "${line.slice(0, 100)}"`)
    const place = `${room}/${name.slice(0, 2)}/${name}`
    yield { what: roomWords[room] ?? room, name, place, sizeBytes: Number(size) }
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

async function entryOf(folder: string, name: string): Promise<BackupManifest['files'][number]> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of createReadStream(join(folder, name))) {
    hash.update(chunk as Buffer)
    sizeBytes += (chunk as Buffer).length
  }
  return { name, sizeBytes, sha256: hash.digest('hex') }
}

/** Plain files of `name` in `folder`, itself or below it, as paths inside `folder`. */
async function filesUnder(folder: string, name: string): Promise<string[]> {
  const found = await statOf(join(folder, name))
  if (!found) return []
  if (found.isFile()) return [name]
  const entries: Dirent[] = await readdir(join(folder, name), {
    recursive: true,
    withFileTypes: true,
  })
  return (
    entries
      // What is being written takes its name when it is whole.
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.new'))
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      .sort()
  )
}

async function copyDurably(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  // Shares the bytes where the file system can, until one of them is written to.
  await copyFile(from, to, constants.COPYFILE_FICLONE)
  await sync(to)
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path)
  await handle.sync()
}

const statOf = async (path: string) => await stat(path).catch(() => undefined)
