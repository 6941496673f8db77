/**
 * Every key of the dashboard in one table: what handles them, the key sheet and the tests all read
 * it. Letters are matched by `event.key`, so they follow the keyboard's layout.
 */

export type KeyAction =
  | 'goHome'
  | 'goDevices'
  | 'goLive'
  | 'goEvents'
  | 'goSamples'
  | 'goDatasets'
  | 'goLabel'
  | 'goRuns'
  | 'goModels'
  | 'goPipelines'
  | 'goRollouts'
  | 'goRules'
  | 'goDrift'
  | 'goPeople'
  | 'goAudit'
  | 'focusFilter'
  | 'next'
  | 'previous'
  | 'select'
  | 'selectAll'
  | 'clear'
  | 'fullScreen'
  | 'review'
  | 'important'
  | 'falseAlarm'
  | 'undo'
  | 'redo'
  | 'enlarge'
  | 'sheet'

export type KeyRow = {
  readonly action: KeyAction
  readonly keys: readonly string[]
  readonly does: string
}

/** One or two keys; of two, the second follows the first within a second. */
export const keyTable: readonly KeyRow[] = [
  { action: 'goHome', keys: ['g', 'h'], does: 'Go to Home' },
  { action: 'goDevices', keys: ['g', 'd'], does: 'Go to Devices' },
  { action: 'goLive', keys: ['g', 'l'], does: 'Go to Live' },
  { action: 'goEvents', keys: ['g', 'e'], does: 'Go to Events' },
  { action: 'goSamples', keys: ['g', 's'], does: 'Go to Samples' },
  { action: 'goDatasets', keys: ['g', 't'], does: 'Go to Datasets' },
  { action: 'goLabel', keys: ['g', 'b'], does: 'Go to Label' },
  { action: 'goRuns', keys: ['g', 'r'], does: 'Go to Runs' },
  { action: 'goModels', keys: ['g', 'm'], does: 'Go to Models' },
  { action: 'goPipelines', keys: ['g', 'i'], does: 'Go to Pipelines' },
  { action: 'goRollouts', keys: ['g', 'o'], does: 'Go to Rollouts' },
  { action: 'goRules', keys: ['g', 'u'], does: 'Go to Rules' },
  { action: 'goDrift', keys: ['g', 'f'], does: 'Go to Drift' },
  { action: 'goPeople', keys: ['g', 'p'], does: 'Go to People (admins)' },
  { action: 'goAudit', keys: ['g', 'a'], does: 'Go to Audit (admins)' },
  { action: 'focusFilter', keys: ['/'], does: 'Go to the filter of this page' },
  {
    action: 'next',
    keys: ['j'],
    does: 'Next row, next (older) event, next sample, next page of the wall',
  },
  {
    action: 'previous',
    keys: ['k'],
    does: 'Previous row, previous (newer) event, previous sample, previous page of the wall',
  },
  { action: 'select', keys: ['x'], does: 'Select the row, or leave it out' },
  { action: 'selectAll', keys: ['*'], does: 'Select every row that is shown, or none of them' },
  {
    action: 'clear',
    keys: ['Escape'],
    does: 'Give up the selection, go back to the wall or the list',
  },
  { action: 'review', keys: ['r'], does: 'Mark the opened event as reviewed and open the next' },
  { action: 'important', keys: ['i'], does: 'Mark the opened event as important, or not' },
  {
    action: 'falseAlarm',
    keys: ['w'],
    does: 'Mark the opened event as a false alarm (wrong), or not',
  },
  { action: 'undo', keys: ['u'], does: 'Take back the last mark or edit' },
  { action: 'redo', keys: ['U'], does: 'Do again what was taken back from an edit' },
  { action: 'enlarge', keys: ['o'], does: 'The opened event large, or beside the list' },
  { action: 'fullScreen', keys: ['f'], does: 'The wall on the whole screen, or back' },
  { action: 'sheet', keys: ['?'], does: 'Show these keys' },
]

/** How long the second key of a pair may take. */
export const chordMsMax = 1000

/** What was typed so far of a pair. */
export type Pending = { readonly key: string; readonly at: number } | undefined

/**
 * What a key means after `pending`.
 * @param at when it was pressed, ms
 */
export function actionOf(
  key: string,
  pending: Pending,
  at: number,
): { action?: KeyAction; pending: Pending } {
  const before = pending && at - pending.at <= chordMsMax ? pending.key : undefined
  const row = keyTable.find(({ keys }) =>
    keys.length === 2
      ? keys[0] === before && keys[1] === key
      : before === undefined && keys[0] === key,
  )
  if (row) return { action: row.action, pending: undefined }
  const begins = keyTable.some(({ keys }) => keys.length === 2 && keys[0] === key)
  return { pending: begins ? { key, at } : undefined }
}
