/** A real hub in a process of its own, which can be killed and started again on the same ports. */
import { type ChildProcess, fork } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { EnrolmentToken } from '@edgeloop/protocol'
import type { HubReady } from './hub-program.ts'

export type HubProcess = AsyncDisposable & {
  readonly urls: HubReady
  /** Makes a one-time enrolment token. */
  createToken(deviceId: string): Promise<EnrolmentToken>
  /** Calls the hub's API with the local token; gives the parsed answer. */
  api<T>(method: string, path: string, body?: unknown): Promise<T>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again after `kill()`, on the same ports and data. */
  start(): Promise<void>
}

// A machine that does other things as well starts a hub in its own time.
const startTimeoutMs = 120_000

/** Starts a hub on free ports of the loopback address. @param config configuration beside ports and folder */
export async function startHub(options: {
  dataDir: string
  config?: Readonly<Record<string, unknown>>
  /** With compiler and trainer. */
  training?: boolean
}): Promise<HubProcess> {
  let child: ChildProcess
  let urls: HubReady
  const ports = { browser: 0, device: 0, mqtt: 0 }

  async function start(): Promise<void> {
    const config = {
      ...options.config,
      dataDir: options.dataDir,
      browser: { port: ports.browser },
      device: { port: ports.device },
      mqtt: { port: ports.mqtt },
    }
    ;[child, urls] = await spawnHub(JSON.stringify(config), options.training ? ['training'] : [])
    for (const name of ['browser', 'device', 'mqtt'] as const) {
      ports[name] = Number(new URL(urls[name]).port)
    }
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const token = (await readFile(urls.localTokenFile, 'utf8')).trim()
    const answer = await fetch(new URL(path, urls.browser), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`Cannot ${method} ${path}: HTTP ${answer.status} ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  await start()
  return {
    get urls() {
      return urls
    },
    api,
    createToken: (deviceId) => api('POST', '/api/enrolment-tokens', { deviceId }),
    kill: () => stop('SIGKILL'),
    start,
    [Symbol.asyncDispose]: () => stop('SIGTERM'),
  }
}

async function spawnHub(
  config: string,
  more: readonly string[],
): Promise<[ChildProcess, HubReady]> {
  const program = new URL('./hub-program.ts', import.meta.url)
  const child = fork(program, [config, ...more], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const { promise, resolve, reject } = Promise.withResolvers<HubReady>()
  child.once('message', (ready) => resolve(ready as HubReady))
  child.once('exit', (code) => reject(new Error(`Cannot start the hub: it exited with ${code}`)))
  const late = () => reject(new Error(`Cannot start the hub: not ready in ${startTimeoutMs} ms`))
  const timer = setTimeout(late, startTimeoutMs)
  try {
    return [child, await promise]
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}
