/** A detector as the pipeline sees it: bytes of a canvas in, detections of the source frame out. */
import type { Detection } from '@edgeloop/protocol'
import type { InputView } from '../cameras/camera.ts'
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
  /** What executes it when `runtime`, which a measurement chose, no longer opens it. */
  readonly fallback?: string
}

export type DetectOptions = {
  readonly scoreMin: number
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
  readonly labels: readonly string[]
  readonly runtime: string
  /** What it takes, as data: a thread that only fills canvases places frames by it. */
  readonly input: InputSpec
  /** Bytes of one canvas: width × height × 3. */
  readonly inputBytes: number
  /** Where a source frame of this size lands on the model's canvas. */
  inputFor(sourceWidth: number, sourceHeight: number): InputView
  /**
   * Detections of one canvas, best first, boxes as shares of the source frame.
   * @param canvas height × width × 3 bytes in the view's channel order; may be shared memory
   */
  detect(canvas: Uint8Array, view: InputView, options: DetectOptions): Promise<Detection[]>
}
