/** Runs one command of the command line against the hub of a test, in a process of its own. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { TestHub } from './fixture.ts'

const main = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))

export type CommandResult = {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** @param words what follows `edgeloop`; the hub and its token are added */
export async function runCommand(hub: TestHub, ...words: string[]): Promise<CommandResult> {
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const env = { ...process.env, EDGELOOP_HUB: hub.hub.urls.browser, EDGELOOP_TOKEN: token }
  return await new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}
