/**
 * Between the files of an update and the frames that they shall look at. Whoever brings a candidate (download,
 * slots, states) has it tried, compared, put to work and watched by these acts, each of which can be repeated
 * after a restart; none of them writes anything that an update depends on.
 */
import { join } from 'node:path'
import type { Comparison, Manifest, UpdateCare, UpdateCode } from '@edgeloop/protocol'
import type { ModelSource } from '../models/model.ts'

/** A delivered model as it lies in a slot: verified, whole, and not changed while a candidate names it. */
export type Candidate = {
  /** The name streams refer to it by. */
  readonly name: string
  readonly version: number
  /** SHA-256 of the model's file. */
  readonly digest: string
  /** Holds the files of `slotFiles`. */
  readonly folder: string
  readonly manifest: Manifest
  /** How the agent opens it. */
  readonly source: ModelSource
}

/** What a slot's files are called. */
export const slotFiles = {
  model: 'model.onnx',
  manifest: 'manifest.json',
  /** One label per line; not there where the manifest has none. */
  labels: 'labels.txt',
  /** Not there where the manifest's is empty. */
  description: 'description.yaml',
} as const

/** The candidate that lies in a slot; `folder` must hold what `manifest` says. */
export function candidateIn(folder: string, manifest: Manifest): Candidate {
  const { name, version, file, layout, labels, description } = manifest
  return {
    name,
    version,
    digest: file.digest,
    folder,
    manifest,
    source: {
      name,
      file: join(folder, slotFiles.model),
      layout,
      runtime: 'auto',
      ...(labels.length > 0 && { labels: join(folder, slotFiles.labels) }),
      ...(description !== '' && { description: join(folder, slotFiles.description) }),
    },
  }
}

/** What a probe found. Figures are of a process of its own that did nothing else. */
export type ProbeReport =
  | {
      readonly ok: true
      /** Highest resident memory. */
      readonly memoryBytes: number
      readonly loadMs: number
      readonly inferenceP95Ms: number
    }
  | Refused

/** A candidate is not taken up, or not kept: `reason` is a sentence for people. */
export type Refused = {
  readonly ok: false
  readonly code: UpdateCode
  readonly reason: string
  /** What was seen until then. */
  readonly comparison?: Comparison
}

/** What looking at a candidate for a while came to. */
export type Verdict = { readonly ok: true; readonly comparison: Comparison } | Refused

export interface ModelHost {
  /**
   * Tries a candidate in a process of its own with limits of memory and time: may it be loaded, does the agent
   * open it, does it repeat the golden vectors, how fast is it. Whatever it does there is an answer.
   * @throws the signal's reason
   */
  probe(candidate: Candidate, signal: AbortSignal): Promise<ProbeReport>
  /**
   * Runs a candidate beside the active model, on frames that this one is given anyway. `told` hears now and then
   * what the comparison is until then. Where no stream has used the model for the longest time that `care` allows,
   * it passes, and the comparison says on how few frames.
   * @throws the signal's reason
   */
  shadow(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict>
  /**
   * From now on frames go to this model; with undefined, to the one of the box's own configuration, or to none where
   * that has none of this name. It is opened beside the one before, which is closed when the last stream has changed
   * over. A process that starts later starts with it. Asking for what is active already does nothing.
   * @throws {Error} when a media process cannot open it; then all of them have gone back to the one before
   */
  activate(name: string, model: Candidate | undefined, signal: AbortSignal): Promise<void>
  /**
   * Watches what was activated for `care.probationMs` (whoever goes on after a restart gives what is left of it), and
   * ends with the first bad sign. `ok: false`: activate the one before.
   * @throws the signal's reason
   */
  probation(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict>
  /** What really runs, as media processes said when they opened it. */
  running(): readonly { readonly name: string; readonly digest: string }[]
}
