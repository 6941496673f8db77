/** How fast somebody is, and how much there is to mend: figures over their last answers. */

export type AnswerNoted = {
  /** When it was given, ms. */
  readonly at: number
  readonly edits: number
  readonly lookedMs: number
}

/** Answers that figures are made of. */
export const paceAnswersMax = 50
/** Somebody who looked at one frame for longer was away. */
const lookedMsMax = 60_000

export type Pace = {
  /** By the time that frames were looked at; undefined before the second answer. */
  readonly framesPerMinute: number | undefined
  readonly editsPerFrame: number
  /** Share (0..1) of frames that were taken as they came. */
  readonly untouched: number
  readonly answers: number
}

export function paceOf(answers: readonly AnswerNoted[]): Pace | undefined {
  const last = answers.slice(-paceAnswersMax)
  if (last.length === 0) return undefined
  const sum = (of: (one: AnswerNoted) => number) => last.reduce((all, one) => all + of(one), 0)
  const lookedMs = sum(({ lookedMs }) => Math.min(lookedMs, lookedMsMax))
  return {
    framesPerMinute:
      last.length < 2 || lookedMs === 0 ? undefined : (last.length * 60_000) / lookedMs,
    editsPerFrame: sum(({ edits }) => edits) / last.length,
    untouched: last.filter(({ edits }) => edits === 0).length / last.length,
    answers: answers.length,
  }
}
