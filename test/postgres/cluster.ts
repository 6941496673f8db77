/**
 * A real PostgreSQL of its own for tests: made with initdb, fsync on, on a free port of the loopback address,
 * with a password; killed and started again when a test wants to see that. PostgreSQL refuses to run as
 * root, so as root it runs as the user `postgres`, or `nobody`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

export type Cluster = AsyncDisposable & {
  readonly port: number
  readonly folder: string
  /** Address of a new database: empty, or with what is in another one of the cluster. */
  createDatabase(template?: string): Promise<string>
  /** Its processes now: the server and what it has started. */
  pids(): number[]
  /** SIGKILL to the server and what it has started. */
  kill(): Promise<void>
  /** Starts it again; resolves when it takes connections. */
  start(): Promise<void>
}

const user = 'edgeloop'
const password = 'only-for-this-test'
const startTimeoutMs = 60_000

/** Starts a cluster. @param settings lines of postgresql.conf beside ours */
export async function startCluster(settings: readonly string[] = []): Promise<Cluster> {
  const bin = globSync('/usr/lib/postgresql/*/bin').sort().at(-1) ?? ''
  const folder = mkdtempSync(join(tmpdir(), 'edgeloop-pg-'))
  const owner = process.getuid?.() === 0 ? unprivileged() : undefined
  if (owner) chownSync(folder, owner.uid, owner.gid)
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, password)
  const flags = ['--auth=scram-sha-256', `--pwfile=${passwordFile}`, `--username=${user}`]
  // The files of an empty cluster need no care; what the server writes later does.
  const files = ['--no-sync', '--encoding=UTF8', '--locale=C', `--pgdata=${data}`]
  execFileSync(join(bin, 'initdb'), [...flags, ...files], {
    stdio: 'ignore',
    cwd: folder,
    ...owner,
  })
  const port = await freePort()
  const lines = [
    `port = ${port}`,
    "listen_addresses = '127.0.0.1'",
    `unix_socket_directories = '${folder}'`,
    'fsync = on',
    'max_connections = 50',
    ...settings,
  ]
  writeFileSync(join(data, 'postgresql.auto.conf'), `${lines.join('\n')}\n`)

  let server: ChildProcess | undefined
  const address = (database: string) =>
    `postgres://${user}:${password}@127.0.0.1:${port}/${database}`

  async function start(): Promise<void> {
    const until = Date.now() + startTimeoutMs
    for (;;) {
      if (!server || server.exitCode !== null || server.signalCode !== null) server = launch()
      const client = new pg.Client(address('postgres'))
      client.on('error', () => {})
      try {
        await client.connect()
        await client.query('select 1')
        return
      } catch (cause) {
        // It may have found remains of the last one that were still dying: then it is launched again.
        if (Date.now() > until) throw new Error('Cannot start PostgreSQL', { cause })
        await sleep(50)
      } finally {
        await client.end().catch(() => {})
      }
    }
  }

  function launch(): ChildProcess {
    const args = ['-c', keeper, 'sh', join(bin, 'postgres'), '-D', data]
    const log = process.env.EDGELOOP_TEST_LOG ? 'inherit' : 'ignore'
    const child = spawn('/bin/sh', args, { stdio: ['pipe', 'ignore', log], cwd: folder, ...owner })
    // A finished test does not wait for it.
    child.unref()
    ;(child.stdin as Socket).unref()
    return child
  }

  async function kill(): Promise<void> {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = once(server, 'exit')
    server.ref()
    server.stdin?.end()
    await gone
  }

  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  let databases = 0
  await start()
  return {
    port,
    folder,
    createDatabase: async (template = 'template1') => {
      const name = `test_${++databases}`
      const client = new pg.Client(address('postgres'))
      await client.connect()
      await client.query(`create database ${name} template ${template}`)
      await client.end()
      return address(name)
    },
    pids: () => {
      const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      return [pid, ...children.trim().split(' ').map(Number)]
    },
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill()
      process.off('exit', remove)
      remove()
    },
  }
}

/** Runs the server until standard input ends, which it also does when the test is killed: then SIGKILL. */
const keeper = `exec 3<&0; "$@" 3<&- & p=$!
{ read -r _ <&3; c=$(cat /proc/$p/task/$p/children); kill -9 $p $c; } & wait $p`

function unprivileged(): { uid: number; gid: number } {
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // No such user here.
    }
  }
  throw new Error('Cannot run PostgreSQL as root: there is neither a user postgres nor nobody')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
