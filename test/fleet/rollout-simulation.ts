/**
 * A rollout on boxes that are only numbers, in time that does not pass: the hub's own `decide` is asked after everything
 * that happens, and what it decides is done as the hub does it. What a box goes through is given; so thousands of rollouts
 * can be looked at for how often a good model is stopped, and where a bad one is.
 */
import type { Comparison, RolloutPlan, UpdateCode, UpdateState } from '@edgeloop/protocol'
import {
  type Box,
  changedBy,
  type Decision,
  decide,
  type Rollout,
} from '../../cloud-hub/src/rollouts/decide.ts'

/** What becomes of an update on one box, from its offer to its end. */
export type Course = readonly {
  readonly state: UpdateState
  /** Time from the state before. */
  readonly afterMs: number
  readonly code?: UpdateCode
  readonly shadow?: Comparison
  readonly probation?: Comparison
}[]

export type Simulated = {
  /** `held`: it waits for a person. `endless`: nothing more happens, and it has not ended. */
  readonly end: 'complete' | 'stopped' | 'held' | 'endless'
  /** The stage in which it ended, from 0. */
  readonly stage: number
  readonly why: string
  /** Boxes whose frames the model got at some time, and those that have it in the end. */
  readonly touched: number
  readonly left: number
  /** Simulated time. */
  readonly lastedMs: number
}

/** The hub looks after time that has gone by so often. */
const lookMs = 120_000
/** Whatever is not over by then is not going to be. */
const endlessMs = 7 * 86_400_000
const [oldDigest, newDigest] = ['0'.repeat(64), '1'.repeat(64)]

/** @param stageSizes boxes that each stage adds @param courseOf drawn when a box is offered it; it takes part in that order */
export function simulateRollout(
  plan: RolloutPlan,
  stageSizes: readonly number[],
  courseOf: (box: number) => Course,
): Simulated {
  return new Simulation(plan, stageSizes, courseOf).run()
}

class Simulation {
  #now = 0
  #rollout: Rollout
  readonly #boxes: Box[]
  readonly #courseOf: (box: number) => Course
  /** What boxes will do. */
  #ahead: { readonly at: number; readonly box: number; readonly act: (box: Box) => Box }[] = []
  readonly #touched = new Set<number>()
  #why = ''

  constructor(plan: RolloutPlan, stageSizes: readonly number[], courseOf: (box: number) => Course) {
    this.#courseOf = courseOf
    this.#boxes = stageSizes
      .flatMap((size, stage) => Array.from({ length: size }, () => stage))
      .map((stage, index) => ({
        deviceId: `box-${index}`,
        stage,
        state: 'waiting',
        since: 0,
        offeredAt: null,
        contactAt: null,
        confirmedAt: null,
        goingBack: false,
        code: null,
        current: true,
        digest: newDigest,
        afterSequence: 0,
        running: { digest: oldDigest, version: 0, sequence: 1 },
        shadow: null,
        probation: null,
        online: true,
        lastSeenAt: 0,
        zone: 'Etc/UTC',
      }))
    this.#rollout = {
      state: 'queued',
      stage: 0,
      plan,
      scope: plan.onStop,
      integrityElsewhere: [],
      stages: [...plan.stages, undefined].map(() => ({
        startedAt: null,
        approved: false,
        regardless: false,
      })),
      held: null,
      busy: false,
    }
  }

  run(): Simulated {
    for (;;) {
      this.#decideAll()
      const { state } = this.#rollout
      const next = this.#ahead[0]
      const isStill = next === undefined
      if (isStill && state === 'complete') return this.#ended('complete')
      if (isStill && state === 'stopped') return this.#ended('stopped')
      if (isStill && state === 'held') return this.#ended('held')
      if (this.#now > endlessMs) return this.#ended('endless')
      const isOver = state === 'complete' || state === 'stopped'
      this.#now = Math.min(
        next?.at ?? Number.POSITIVE_INFINITY,
        isOver ? Number.POSITIVE_INFINITY : this.#now + lookMs,
      )
      while (this.#ahead[0] && this.#ahead[0].at <= this.#now) {
        const { box, act } = this.#ahead.shift()!
        this.#boxes[box] = act(this.#boxes[box]!)
      }
      for (const [index, box] of this.#boxes.entries()) {
        this.#boxes[index] = { ...box, lastSeenAt: this.#now }
      }
    }
  }

  #decideAll(): void {
    for (;;) {
      const decisions = decide(this.#rollout, this.#boxes, this.#now)
      for (const decision of decisions) this.#carryOut(decision)
      // What was carried out may open the way for more.
      if (decisions.length === 0 || decisions.every(({ act }) => act === 'offer')) return
    }
  }

  #carryOut(decision: Decision): void {
    const change = (deviceIds: readonly string[], to: (box: Box, index: number) => Box) => {
      for (const id of deviceIds) {
        const index = Number(id.slice('box-'.length))
        this.#boxes[index] = to(this.#boxes[index]!, index)
      }
    }
    switch (decision.act) {
      case 'begin':
      case 'go-on':
        this.#rollout = { ...this.#rollout, state: 'running', held: null }
        break
      case 'offer':
        change(decision.devices, (box, index) => this.#offered(box, index))
        break
      case 'advance':
        this.#advance(decision.stage)
        break
      case 'hold': {
        const { stage, regardless } = decision
        this.#why = decision.why
        this.#rollout = { ...this.#rollout, state: 'held', held: { stage, regardless } }
        break
      }
      case 'stop':
        this.#why = decision.why
        this.#rollout = { ...this.#rollout, state: 'stopped' }
        break
      case 'cancel':
        change(decision.devices, (box, index) => {
          this.#forget(index)
          return { ...box, state: 'cancelled', since: this.#now }
        })
        break
      case 'roll-back':
        change(decision.devices, (box, index) => this.#askedBack(box, index))
        break
      default:
        change([decision.deviceId], (box) => changedBy(box, decision, this.#now))
        break
    }
  }

  #advance(to: number): void {
    const { plan, stages } = this.#rollout
    const isEnd = to === plan.stages.length
    this.#rollout = {
      ...this.#rollout,
      ...(isEnd ? { state: 'complete' } : { state: 'running', stage: to }),
      held: null,
      stages: stages.map((stage, at) => (at === to ? { ...stage, startedAt: this.#now } : stage)),
    }
  }

  #offered(box: Box, index: number): Box {
    let at = this.#now
    for (const { afterMs, state, code, shadow, probation } of this.#courseOf(index)) {
      at += afterMs
      this.#later(at, index, (before) => {
        if (state === 'activating') this.#touched.add(index)
        const sequence = (before.running?.sequence ?? 0) + 1
        const runsNew = state === 'activating' || state === 'probation' || state === 'committed'
        return {
          ...before,
          state,
          since: this.#now,
          code: code ?? null,
          ...(shadow && { shadow }),
          ...(probation && { probation }),
          ...(state === 'committed' && { afterSequence: sequence }),
          running: {
            digest: runsNew ? newDigest : oldDigest,
            version: runsNew ? 1 : 0,
            sequence,
          },
        }
      })
    }
    return {
      ...box,
      state: 'offered',
      since: this.#now,
      offeredAt: this.#now,
      contactAt: this.#now,
    }
  }

  /** It says some seconds later that it did. */
  #askedBack(box: Box, index: number): Box {
    this.#forget(index)
    const afterSequence = box.running?.sequence ?? 0
    this.#later(this.#now + 5000, index, (before) => ({
      ...before,
      ...(before.state !== 'committed' && { state: 'rolled-back', code: 'by-request' }),
      running: { digest: oldDigest, version: 0, sequence: afterSequence + 1 },
    }))
    return { ...box, goingBack: true, afterSequence }
  }

  #later(at: number, box: number, act: (box: Box) => Box): void {
    this.#ahead.push({ at, box, act })
    this.#ahead.sort((one, other) => one.at - other.at)
  }

  #forget(box: number): void {
    this.#ahead = this.#ahead.filter((one) => one.box !== box)
  }

  #ended(end: Simulated['end']): Simulated {
    return {
      end,
      stage: this.#rollout.stage,
      why: this.#why,
      lastedMs: this.#now,
      touched: this.#touched.size,
      left: this.#boxes.filter(({ running }) => running?.digest === newDigest).length,
    }
  }
}
