/**
 * A person who labels, as a script: takes tasks from the queue over the same routes as the Label page, looks at the picture,
 * and says what is true in it. It knows the truth of nothing but the frames that it is asked about, by the number
 * that the frame shows.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LabelAnswer, LabelTask, SampleAnnotation } from '@edgeloop/protocol'
import sharp from 'sharp'
import type { HubClient } from '../../cli/src/hub-client.ts'
import type { Plant } from './plant.ts'
import { readNumber, visibleShareMin } from './world.ts'

const takenAtOnce = 10
const lookIntervalMs = 500

export type LabellerOptions = {
  readonly hub: HubClient
  /** The picture of a sample. */
  readonly pictureOf: (digest: string, signal: AbortSignal) => Promise<Uint8Array>
  readonly queue: string
  readonly plant: Plant
  /** Which belt a device looks at. */
  readonly beltOf: (deviceId: string) => number | undefined
}

export type Shift = {
  /** Frames that are labelled before the person goes home. */
  readonly frames: number
  /** Frames from before this time are left to others: what was to be learned from them has been. */
  readonly since: number
  readonly told: (labelled: number) => void
  readonly signal: AbortSignal
}

export type Worked = { readonly labelled: number; readonly skipped: number; readonly bytes: number }

/** Works until enough frames are labelled. @throws when a picture cannot be read or an answer is refused */
export async function workShift(options: LabellerOptions, shift: Shift): Promise<Worked> {
  const { hub, queue } = options
  const { frames, since, told, signal } = shift
  let [labelled, skipped, bytes] = [0, 0, 0]
  while (labelled < frames) {
    signal.throwIfAborted()
    const { tasks } = await hub.call('tasksTake', {
      params: { queue },
      body: { count: Math.min(takenAtOnce, frames - labelled), for: 'label', order: 'use' },
    })
    if (tasks.length === 0) {
      await sleep(lookIntervalMs, undefined, { signal })
      continue
    }
    const answers: LabelAnswer[] = []
    for (const task of tasks) {
      const isOld = Date.parse(task.sample.capturedAt ?? '') < since
      const annotations = isOld ? undefined : await annotate(options, task, signal)
      if (annotations) bytes += annotations.bytes
      answers.push({
        answerId: randomUUID(),
        taskId: task.taskId,
        revision: task.revision,
        ...(annotations
          ? { verdict: 'annotated', annotations: annotations.annotations }
          : { verdict: 'skip', annotations: [] }),
        lookedMs: 3000,
        edits: annotations ? annotations.annotations.length : 0,
      })
    }
    const { outcomes } = await hub.call('labelAnswer', { params: { queue }, body: { answers } })
    for (const [at, { outcome, reason }] of outcomes.entries()) {
      if (outcome === 'refused') throw new Error(`The hub refused an answer: ${reason}`)
      if (outcome !== 'kept') continue
      if (answers[at]!.verdict === 'annotated') labelled++
      else skipped++
    }
    told(labelled)
  }
  return { labelled, skipped, bytes }
}

/** What is true in the picture of a task. */
async function annotate(
  { pictureOf, plant, beltOf }: LabellerOptions,
  { sample }: LabelTask,
  signal: AbortSignal,
): Promise<{ readonly annotations: SampleAnnotation[]; readonly bytes: number }> {
  const jpeg = await pictureOf(sample.digest, signal)
  const { data, info } = await sharp(jpeg)
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const frame = readNumber(data, info.width, info.height)
  const belt = beltOf(sample.deviceId ?? '')
  if (frame === undefined || belt === undefined) {
    throw new Error(
      `Cannot label sample ${sample.digest} of device "${sample.deviceId}": ${belt === undefined ? 'it is none of the plant' : 'its picture shows no frame number'}`,
    )
  }
  const annotations = plant.truth(belt, frame).map(({ label, box, visibleShare }) => ({
    kind: 'box' as const,
    label,
    box: [...box],
    ...(visibleShare < visibleShareMin && { crowd: true }),
  }))
  return { annotations, bytes: jpeg.length }
}
