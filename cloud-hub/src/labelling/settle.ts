/**
 * What becomes of a task by what was said of it. Pure: from the rules of the queue and the answers that count, in the
 * order in which they came.
 */
import type {
  answerVerdicts,
  LabelQueueConfig,
  SampleAnnotation,
  TaskState,
} from '@edgeloop/protocol'
import { consensusOf } from './consensus.ts'

export type Verdict = (typeof answerVerdicts)[number]

/** `label`: one of the people who were asked; `review`: a further one, who decides. */
export type AnswerPart = 'label' | 'review'

export type CountedAnswer = {
  readonly person: string
  readonly part: AnswerPart
  readonly verdict: Verdict
  readonly annotations: readonly SampleAnnotation[]
}

export type Settled =
  | { readonly state: 'done'; readonly annotations: readonly SampleAnnotation[] }
  /** `why`: what people disagree about; undefined where a review was asked for anyway. */
  | { readonly state: Exclude<TaskState, 'done'>; readonly why?: string }

export type QueueRules = Pick<LabelQueueConfig, 'annotators' | 'review' | 'agreeIou'>

/** Used where a queue says nothing else. */
export const ruleDefaults = { annotators: 1, review: false, agreeIou: 0.7 } as const

export function settle(rules: QueueRules, answers: readonly CountedAnswer[]): Settled {
  const { annotators, review, agreeIou } = { ...ruleDefaults, ...rules }
  const decision = answers.findLast(({ part, verdict }) => part === 'review' && verdict !== 'skip')
  if (decision) {
    if (decision.verdict === 'annotated')
      return { state: 'done', annotations: decision.annotations }
    return { state: decision.verdict === 'bad' ? 'bad' : 'flagged' }
  }
  const said = answers.filter(({ part, verdict }) => part === 'label' && verdict !== 'skip')
  if (said.some(({ verdict }) => verdict === 'flag')) return { state: 'flagged' }
  if (said.length < annotators) return { state: 'open' }
  const bad = said.filter(({ verdict }) => verdict === 'bad').length
  if (bad === said.length) return { state: 'bad' }
  if (bad > 0) return { state: 'review', why: `${bad} of ${said.length} want to keep it out` }
  const consensus = consensusOf(
    said.map(({ annotations }) => annotations),
    agreeIou,
  )
  if (!consensus.agreed) return { state: 'review', why: consensus.why }
  if (review) return { state: 'review' }
  return { state: 'done', annotations: consensus.annotations }
}

/** What is known of a task when an answer comes. */
export type AnsweredTask = {
  readonly state: TaskState
  readonly revision: number
  /** The answer of the same person that counts now. */
  readonly own?: {
    readonly part: AnswerPart
    /** Revision of the task that it was made for, and after it. */
    readonly madeFor: number
    readonly ledTo: number
  }
}

export type Admission =
  | { readonly as: AnswerPart }
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'refused'; readonly reason: string }

/** Whether an answer counts, and as what. An answer to something that has changed since it was looked at never does. */
export function admitAnswer(
  rules: QueueRules,
  task: AnsweredTask,
  answer: { readonly revision: number; readonly again?: boolean },
): Admission {
  const { own, state } = task
  const again = answer.again === true
  // Answered twice before the first was heard: nothing but one's own answer has come between.
  const onlyOwn =
    again && own !== undefined && answer.revision === own.madeFor && task.revision === own.ledTo
  if (answer.revision !== task.revision && !onlyOwn) return { outcome: 'conflict' }
  if (again && own) return { as: own.part }
  if (state === 'open') {
    if (!own) return { as: 'label' }
    return { outcome: 'refused', reason: 'You have answered it; say `again` to answer anew' }
  }
  if (state === 'done' || state === 'bad') {
    if (again) return { as: 'review' }
    return { outcome: 'refused', reason: `It is ${state} already; say \`again\` to correct it` }
  }
  if (rules.review === true && own?.part === 'label') {
    return { outcome: 'refused', reason: 'A further person has to look, and you have answered it' }
  }
  return { as: 'review' }
}
