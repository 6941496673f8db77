/** What producers were told is recorded, in files that outlive them: one line per event. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** How the media program hears what to do; the agent passes its environment on. */
export const mediaOrderVariable = 'EDGELOOP_TEST_MEDIA'
export type MediaOrder = { readonly ledgerFolder: string; readonly eventsPerSecond: number }

/** While this file is in the ledger folder nothing is produced. */
export const stopFile = 'stop'

/** `UUID:000000001` and a line feed: all of one length, so that files are counted by their size. */
export const ledgerLine = (label: string): string => `${label}\n`
const lineBytes = 36 + 1 + 9 + 1

/** Events in the ledgers of a folder. */
export function countLedger(folder: string): number {
  const bytes = ledgers(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
  return Math.floor(bytes / lineBytes)
}

/** Labels in the ledgers of a folder. A line that a kill cut short was not written. */
export function readLedger(folder: string): string[] {
  return ledgers(folder).flatMap((file) => {
    const text = readFileSync(join(folder, file), 'utf8')
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
  })
}

/** Process ids of the media programs that write into a folder and are alive. */
export function livingWriters(folder: string): number[] {
  return ledgers(folder)
    .map((file) => Number.parseInt(file, 10))
    .filter((pid) => existsSync(`/proc/${pid}`))
}

const ledgers = (folder: string): string[] =>
  readdirSync(folder).filter((file) => file.endsWith('.ledger'))
