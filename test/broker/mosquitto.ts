/** A real mosquitto on free ports, configured by what a hub writes for it, which can be killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeMosquittoConfig } from '../../cloud-hub/src/broker/broker-config.ts'

export type Mosquitto = AsyncDisposable & {
  /** Of the process that runs now. */
  readonly pid: number
  /** Where devices connect. */
  readonly deviceUrl: string
  /** Where hubs connect. */
  readonly hubUrl: string
  /** Folder of `hub broker-config`. */
  readonly files: string
  /** SIGKILL: what it had not saved is lost. */
  kill(): Promise<void>
  start(): Promise<void>
  /** SIGHUP: reads the revocation list again. */
  reload(): Promise<void>
  /** Everything stops, connections stay. */
  freeze(): void
  thaw(): void
}

const startTimeoutMs = 20_000

/** @param dataDir data of the hub whose devices it serves */
export async function startMosquitto(dataDir: string, files: string): Promise<Mosquitto> {
  const [devicePort = 0, hubPort = 0] = await freePorts(2)
  await writeMosquittoConfig({
    dataDir,
    out: files,
    host: 'localhost',
    bind: '127.0.0.1',
    devicePort,
    hubPort,
  })
  return await runMosquitto(files, { devicePort, hubPort })
}

/** @param files a folder that `hub broker-config` wrote for these ports */
export async function runMosquitto(
  files: string,
  { devicePort, hubPort }: { devicePort: number; hubPort: number },
): Promise<Mosquitto> {
  const conf = join(files, 'mosquitto.conf')
  // Started as root it becomes another user, who may not read what the test has written.
  if (process.getuid?.() === 0) await appendFile(conf, 'user root\n')
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const stderr = process.env.EDGELOOP_TEST_LOG === undefined ? 'ignore' : 'inherit'
    child = spawn('mosquitto', ['-c', conf], { stdio: ['ignore', 'ignore', stderr] })
    const endAt = performance.now() + startTimeoutMs
    while (!((await listens(devicePort)) && (await listens(hubPort)))) {
      if (child.exitCode !== null) throw new Error(`mosquitto exited with ${child.exitCode}`)
      if (performance.now() > endAt) throw new Error('mosquitto does not listen')
      await sleep(20)
    }
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child?.once('exit', resolve))
    child.kill('SIGCONT')
    child.kill(signal)
    await gone
  }

  await start()
  return {
    get pid() {
      return child?.pid ?? 0
    },
    deviceUrl: `mqtts://localhost:${devicePort}`,
    hubUrl: `mqtts://localhost:${hubPort}`,
    files,
    start,
    kill: () => end('SIGKILL'),
    reload: async () => {
      child?.kill('SIGHUP')
      await sleep(300)
    },
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  }
}

/** Ports of the loopback address that nobody uses just now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  const open = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  socket.destroy()
  return open
}
