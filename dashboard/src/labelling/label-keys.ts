/**
 * Every key of the Label page in one table: what handles them, the key sheet and the tests all read it. Letters and
 * signs are matched by `event.key`, so they follow the keyboard's layout; digits by `event.code`, because on some
 * layouts (AZERTY) the row of digits types other signs.
 */

export type LabelAct =
  | 'accept'
  | 'setClass'
  | 'findClass'
  | 'draw'
  | 'select'
  | 'extremes'
  | 'outline'
  | 'cancel'
  | 'nextBox'
  | 'previousBox'
  | 'acceptOne'
  | 'remove'
  | 'difficult'
  | 'move'
  | 'resize'
  | 'copyPrevious'
  | 'copyNext'
  | 'none'
  | 'skip'
  | 'bad'
  | 'flag'
  | 'next'
  | 'previous'
  | 'nextOpen'
  | 'lower'
  | 'higher'
  | 'hide'
  | 'onlyCurrent'
  | 'zoomIn'
  | 'zoomOut'
  | 'fit'
  | 'zoomToBox'
  | 'darker'
  | 'brighter'
  | 'lessContrast'
  | 'moreContrast'
  | 'undo'
  | 'redo'
  | 'similar'
  | 'annotator'
  | 'sheet'

export type LabelKeyRow = {
  readonly act: LabelAct
  /** As the sheet shows them: `Ctrl+Z` is Command+Z on a Mac. */
  readonly keys: readonly string[]
  readonly does: string
  /** Goes on while the key is held. */
  readonly repeats?: true
  /** Only in a review. */
  readonly review?: true
}

export const labelKeyTable: readonly LabelKeyRow[] = [
  { act: 'accept', keys: ['Space'], does: 'Accept everything that is shown, done, next frame' },
  {
    act: 'setClass',
    keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0'],
    does: 'Class of the selected box, else of the next one',
  },
  { act: 'findClass', keys: ['/'], does: 'Find a class by its name' },
  { act: 'draw', keys: ['W'], does: 'Draw boxes, or stop; boxes that are there stay as they are' },
  { act: 'select', keys: ['V'], does: 'Select boxes' },
  { act: 'extremes', keys: ['E'], does: 'Draw a box by four clicks on its extreme points' },
  {
    act: 'outline',
    keys: ['O'],
    does: 'Draw an outline, click by click; Enter or its first point ends it',
  },
  {
    act: 'cancel',
    keys: ['Escape'],
    does: 'Cancel, then deselect, then leave the picture',
  },
  {
    act: 'nextBox',
    keys: ['Tab'],
    does: 'Next box (while the picture has the focus)',
    repeats: true,
  },
  { act: 'previousBox', keys: ['Shift+Tab'], does: 'Previous box', repeats: true },
  { act: 'acceptOne', keys: ['Enter'], does: 'Accept the selected suggestion only' },
  { act: 'remove', keys: ['X', 'Delete', 'Backspace'], does: 'Delete the selected box' },
  {
    act: 'difficult',
    keys: ['Q'],
    does: 'The selected box is difficult: found or not, it counts neither way',
  },
  {
    act: 'move',
    keys: ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'],
    does: 'Move the selected box by a pixel; held, faster',
    repeats: true,
  },
  {
    act: 'resize',
    keys: ['Shift+ArrowLeft', 'Shift+ArrowRight', 'Shift+ArrowUp', 'Shift+ArrowDown'],
    does: 'Make the selected box smaller or larger by a pixel',
    repeats: true,
  },
  { act: 'copyPrevious', keys: ['R'], does: 'Copy the boxes of the frame before' },
  { act: 'copyNext', keys: ['P'], does: 'Copy the selected box to the next frame' },
  { act: 'none', keys: ['N'], does: 'Nothing is in it: done, next frame' },
  { act: 'skip', keys: ['S'], does: 'Not me: somebody else answers it, next frame' },
  { act: 'bad', keys: ['B'], does: 'A bad frame: keep it out of the dataset, next frame' },
  { act: 'flag', keys: ['T'], does: 'Talk about it: flag the frame, next frame' },
  { act: 'next', keys: ['F'], does: 'Next frame', repeats: true },
  { act: 'previous', keys: ['D'], does: 'Previous frame', repeats: true },
  { act: 'nextOpen', keys: ['G'], does: 'Next frame that has no answer, or is flagged' },
  { act: 'lower', keys: ['['], does: 'Show less sure suggestions, too', repeats: true },
  { act: 'higher', keys: [']'], does: 'Show only surer suggestions', repeats: true },
  { act: 'hide', keys: ['H'], does: 'Hide the boxes while it is held' },
  { act: 'onlyCurrent', keys: ['Shift+H'], does: 'Show only the selected box, or all again' },
  { act: 'zoomIn', keys: ['=', '+'], does: 'Larger (or the wheel)', repeats: true },
  { act: 'zoomOut', keys: ['-'], does: 'Smaller', repeats: true },
  { act: 'fit', keys: ['\\'], does: 'The whole picture' },
  { act: 'zoomToBox', keys: ['Z'], does: 'Zoom to the selected box' },
  { act: 'darker', keys: [','], does: 'Darker', repeats: true },
  { act: 'brighter', keys: ['.'], does: 'Brighter', repeats: true },
  { act: 'lessContrast', keys: ['<'], does: 'Less contrast', repeats: true },
  { act: 'moreContrast', keys: ['>'], does: 'More contrast', repeats: true },
  {
    act: 'undo',
    keys: ['U', 'Ctrl+Z'],
    does: 'Take back the last act, in whatever frame it was',
    repeats: true,
  },
  {
    act: 'redo',
    keys: ['Shift+U', 'Ctrl+Shift+Z'],
    does: 'Do again what was taken back',
    repeats: true,
  },
  { act: 'similar', keys: ['M'], does: 'More like this: similar pictures beside it' },
  { act: 'annotator', keys: ['A'], does: "Begin from the next annotator's answer", review: true },
  { act: 'sheet', keys: ['?'], does: 'Show these keys' },
]

/** What is read of a key press. */
export type Pressed = {
  readonly key: string
  readonly code: string
  readonly shiftKey: boolean
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly altKey: boolean
  /** `getModifierState('AltGraph')` */
  readonly altGraph: boolean
  readonly repeat: boolean
}

export type LabelKey = {
  readonly act: LabelAct
  /** Of the act's keys, the one that was pressed. */
  readonly key: string
}

/** What a press means on the Label page; undefined where it means nothing there. */
export function labelKeyOf(pressed: Pressed): LabelKey | undefined {
  for (const row of labelKeyTable) {
    const key = row.keys.find((one) => fits(one, pressed))
    if (key === undefined) continue
    return pressed.repeat && !row.repeats ? undefined : { act: row.act, key }
  }
  return undefined
}

const named = /^(?:Escape|Tab|Enter|Delete|Backspace|Arrow.*)$/

function fits(given: string, pressed: Pressed): boolean {
  const parts = given === '+' ? ['+'] : given.split('+')
  const key = parts.at(-1) ?? ''
  const shift = parts.includes('Shift')
  const control = parts.includes('Ctrl')
  // AltGr types signs such as `[` on some keyboards; some systems say Alt, or Ctrl and Alt, for it.
  const altGr = pressed.altGraph || (pressed.altKey && isSign(pressed.key))
  if (control !== ((pressed.ctrlKey || pressed.metaKey) && !altGr)) return false
  if (/^\d$/.test(key)) {
    const code = pressed.code === `Digit${key}` || pressed.code === `Numpad${key}`
    // Where the row types other signs, whoever holds Shift to type a digit means it, too.
    return !pressed.altKey && !altGr && code && (!pressed.shiftKey || pressed.key === key)
  }
  if (key === 'Space') return pressed.code === 'Space' && !pressed.shiftKey && !pressed.altKey
  if (named.test(key)) {
    return pressed.key === key && pressed.shiftKey === shift && !pressed.altKey
  }
  if (/^[A-Z]$/.test(key)) {
    return pressed.key.toUpperCase() === key && pressed.shiftKey === shift && !pressed.altKey
  }
  // The rows of digits are digits first: on AZERTY, 6 types a minus.
  return pressed.key === key && (altGr || !/^Digit/.test(pressed.code) || pressed.shiftKey)
}

const isSign = (key: string): boolean => key.length === 1 && !/[\p{L}\p{N}\s]/u.test(key)

/** Pixels that a held arrow key moves by at its n-th repeat. */
export const stepAt = (repeats: number): number => (repeats < 8 ? 1 : repeats < 20 ? 4 : 12)
