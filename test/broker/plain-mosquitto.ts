/** A real mosquitto without TLS on this machine, as people have one for their home: with a password, or open to all. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const startTimeoutMs = 20_000

export type PlainMosquitto = AsyncDisposable & { readonly url: string }

export async function runPlainMosquitto(given: {
  port: number
  username?: string
  password?: string
}): Promise<PlainMosquitto> {
  const { port, username, password } = given
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-mosquitto-'))
  const lines = [`listener ${port} 127.0.0.1`, 'persistence false']
  // Started as root it becomes another user, who may not read what the test has written.
  if (process.getuid?.() === 0) lines.push('user root')
  if (username !== undefined) {
    const passwords = join(folder, 'passwords')
    await writeFile(passwords, `${username}:${password}\n`, { mode: 0o600 })
    const made = spawnSync('mosquitto_passwd', ['-U', passwords])
    if (made.status !== 0) throw new Error(`mosquitto_passwd: ${made.stderr}`)
    lines.push('allow_anonymous false', `password_file ${passwords}`)
  } else lines.push('allow_anonymous true')
  const conf = join(folder, 'mosquitto.conf')
  await writeFile(conf, `${lines.join('\n')}\n`)
  const stderr = process.env.EDGELOOP_TEST_LOG === undefined ? 'ignore' : 'inherit'
  const child = spawn('mosquitto', ['-c', conf], { stdio: ['ignore', 'ignore', stderr] })
  const endAt = performance.now() + startTimeoutMs
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`mosquitto exited with ${child.exitCode}`)
    if (performance.now() > endAt) throw new Error('mosquitto does not listen')
    await sleep(20)
  }
  return {
    url: `mqtt://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await gone
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
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
