/** A model as the pipeline sees it: bytes of a canvas in, what it says of the source frame out. */
import type { Detection } from '@edgeloop/protocol'
import type { ModelSignature } from '@edgeloop/protocol/oip'
import type { InputView } from '../cameras/camera.ts'
import type { Tensors } from '../runtimes/runtime.ts'
import type { InputSpec } from './canvas.ts'

/** Where the files are and what is known about them beforehand. */
export type ModelSource = {
  /** The name streams refer to it by. */
  readonly name: string
  readonly file: string
  /** A preset of input and output conventions; may come from the description file instead. */
  readonly layout?: string
  /** A file with one label per line, or `coco`; may be left out where the layout fixes them. */
  readonly labels?: string
  /** YAML or JSON beside the model (`NAME.model.yaml`) that overrides the preset. */
  readonly description?: string
  /** `auto`, `ort:PROVIDER`, or `oip:URL` of an inference server. */
  readonly runtime?: string
  /** The version that a rollout delivered; left out where the file is the box's own. */
  readonly version?: number
  /** What executes it when `runtime`, which a measurement chose, no longer opens it. */
  readonly fallback?: string
}

/** What a model can be for; a layout has one. */
export const tasks = ['detection', 'classification', 'segmentation', 'embedding'] as const
export type Task = (typeof tasks)[number]

/** What a model said of one canvas: the key of its task. */
export type Reading = {
  readonly detections?: readonly Detection[]
  /** Best first. */
  readonly classes?: readonly { readonly label: string; readonly score: number }[]
  /** Largest first: share (0..1) of the frame, outlines in shares of it. */
  readonly areas?: readonly {
    readonly label: string
    readonly share: number
    readonly polygons: readonly (readonly (readonly [x: number, y: number])[])[]
  }[]
  /** Of length 1. */
  readonly embedding?: readonly number[]
}

/** Class indexes of a map, row by row. */
export type ClassPicture = {
  readonly width: number
  readonly height: number
  readonly classes: Uint16Array
}

export type DetectOptions = {
  readonly scoreMin: number
  /** From here on a detection counts by itself; what is less sure only helps to follow an object. */
  readonly scoreFirm?: number
  readonly nmsIou: number
  readonly maxDetections: number
  /** Only these; all when left out. */
  readonly labels?: readonly string[]
}

/** A model that was loaded and whose shapes were found to fit its layout. */
export interface Model extends AsyncDisposable {
  readonly name: string
  /** SHA-256 of the file. */
  readonly digest: string
  readonly layout: string
  readonly task: Task
  /** Empty where it tells no classes apart. */
  readonly labels: readonly string[]
  readonly runtime: string
  /** Its tensors, for whoever feeds it without frames. */
  readonly signature: ModelSignature
  /** What it takes, as data: a thread that only fills canvases places frames by it. */
  readonly input: InputSpec
  /** Bytes of one canvas: width × height × 3. */
  readonly inputBytes: number
  /** Where a source frame of this size lands on the model's canvas. */
  inputFor(sourceWidth: number, sourceHeight: number): InputView
  /**
   * Detections of one canvas, best first, boxes as shares of the source frame.
   * @param canvas height × width × 3 bytes in the view's channel order; may be shared memory
   * @throws {ModelError} where it is no detector
   */
  detect(canvas: Uint8Array, view: InputView, options: DetectOptions): Promise<Detection[]>
  /** What it says of one canvas, whatever it is for. */
  read(canvas: Uint8Array, view: InputView, options: DetectOptions): Promise<Reading>
  /**
   * The best class of every pixel of the map that a segmentation gives, as far as it shows the frame.
   * @throws {ModelError} where it is no segmentation
   */
  classPicture(canvas: Uint8Array, view: InputView): Promise<ClassPicture>
  /** The tensors that `run` takes for a canvas; valid until the next canvas. */
  tensorsOf(canvas: Uint8Array): Tensors
  /**
   * The model itself, without layout: tensors in, tensors out, which are valid until it is next used.
   * @throws {Error} when a tensor is missing or does not fit, or the runtime fails
   */
  run(inputs: Tensors): Promise<Tensors>
}
