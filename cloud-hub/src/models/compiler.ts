/**
 * The compiler as the hub needs it. It is a program that runs in a process of its own, because it executes models
 * that strangers made; which program is the business of who starts the hub.
 */
import type {
  Candidate,
  CompilerShown,
  Encoding,
  Manifest,
  ModelInspection,
  precisions,
} from '@edgeloop/protocol'
import type { JobProgress } from '../jobs/job-worker.ts'

/** What a compilation left in its folder: `model.onnx`, `manifest.json`, `report.html`. */
export type Compiled = {
  readonly chosen: string
  readonly target: string
  readonly candidates: readonly Candidate[]
}

/** A model and what has to be known to feed and read it. */
export type DescribedModel = {
  /** ONNX file. */
  readonly file: string
  /** How people call it. */
  readonly name: string
  readonly layout: string
  /** Empty where the layout or the description has them. */
  readonly labels: readonly string[]
  /** Text of a description file; empty for none. */
  readonly description: string
}

/** What a look into a model says, and the labels that it has in the end. */
export type Inspected = {
  readonly inspection: ModelInspection
  readonly labels: readonly string[]
}

export type CompileOrder = DescribedModel & {
  /** Folder of pictures. */
  readonly images: string
  /** Folder that the result is written to; it does not exist yet. */
  readonly out: string
  readonly target: string | undefined
  readonly precision: (typeof precisions)[number]
  readonly maxDrop: number
  /** File that was compiled of an earlier version, whose scales are kept where that costs nothing. */
  readonly against: string | undefined
}

/** A model that is to be made ready for boxes. */
export type PrepareOrder = DescribedModel & {
  /** Files that boxes have now, nearest first. */
  readonly bases: readonly string[]
  /** Folder that is there; encodings are written to it. */
  readonly out: string
}

/** An encoding as a file of its own. */
export type EncodingFile = Encoding & { readonly file: string }

/** What stands in a manifest that only whoever runs the model can say. */
export type Prepared = Pick<Manifest, 'golden' | 'limits'> & {
  /** Of ai.onnx. */
  readonly opset: number
  /** Names the grid of its codes; empty where it has none. */
  readonly scalesDigest: string
  readonly encodings: readonly EncodingFile[]
}

export type Compiler = {
  /** Layouts that it knows. */
  readonly layouts: readonly string[]
  /** What it compiles for. */
  readonly targets: CompilerShown['targets']
  /** The one of this machine. */
  readonly ownTarget: string
  /** What `coco` stands for as labels. */
  readonly cocoLabels: readonly string[]
  /** @throws {Error} when the file is no model, with what it is instead; or when it does not fit what was said of it */
  inspect(model: DescribedModel, signal: AbortSignal): Promise<Inspected>
  /** @throws {Error} with what could not be done and why; nothing is in `out` then */
  compile(order: CompileOrder, progress: JobProgress, signal: AbortSignal): Promise<Compiled>
  /**
   * Makes a model ready for boxes: lets it through the gate, runs its golden vectors, encodes its bytes.
   * @throws {Error} with what no box would take, and why
   */
  prepare(order: PrepareOrder, progress: JobProgress, signal: AbortSignal): Promise<Prepared>
}
