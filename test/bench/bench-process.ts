/** The other processes of a bench: started with a channel, asked one thing at a time, and ended with it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { HubFigures } from './bench-hub.ts'

/** @param module beside this file */
export function start(module: string, signal: AbortSignal, execArgv: string[] = []): ChildProcess {
  return fork(new URL(module, import.meta.url), { execArgv, signal, serialization: 'advanced' })
}

/** Ends the channel, by which each of them knows that it is over. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}

/** What the hub of a bench has used and stored. */
export async function figuresOf(hub: ChildProcess): Promise<HubFigures> {
  hub.send({ kind: 'figures' })
  return await answer<HubFigures>(hub)
}

/** The next message. @throws {Error} when the process ends before it */
export async function answer<T>(child: ChildProcess): Promise<T> {
  return await new Promise((resolve, reject) => {
    const exited = (code: number | null) =>
      reject(new Error(`A process of the bench ended: ${code}`))
    child.once('exit', exited)
    child.once('error', reject)
    child.once('message', (message) => {
      child.off('exit', exited)
      child.off('error', reject)
      // Each process answers one kind of order with one kind of message; the callers name it.
      resolve(message as T)
    })
  })
}
