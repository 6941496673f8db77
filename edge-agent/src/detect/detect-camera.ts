/** `detect` on a camera or a clip: one answer per analysed frame, in order. */
import { hideSecret } from '@edgeloop/protocol'
import type { CameraOptions, OpenCamera } from '../cameras/camera.ts'
import type { DetectOptions, Model, Reading } from '../models/model.ts'

/** What a model said of one frame. */
export type FrameReading = Reading & {
  /** As it was given, without its password. */
  readonly source: string
  /** Number of the decoded frame, from 0. */
  readonly frame: number
  /** When it was captured, ISO 8601 in UTC. */
  readonly at: string
  readonly width: number
  readonly height: number
}

export type DetectCameraOptions = {
  readonly open: OpenCamera
  readonly model: Model
  /** `rtsp://…`, a clip, a folder of images. */
  readonly source: string
  /** Analyse every decoded frame instead of `analysisFps`. */
  readonly everyFrame: boolean
  /** Frames per second; 5 when left out. */
  readonly analysisFps?: number
  readonly options: DetectOptions
}

const analysisFpsDefault = 5
const openTimeoutMs = 15_000
const stallTimeoutMs = 10_000

/**
 * What a model says of the frames of a source until it ends. Files are read as fast as the model allows.
 * @throws {CameraError} when the source cannot be opened or fails
 */
export async function* detectCamera(
  { open, model, source, everyFrame, analysisFps, options }: DetectCameraOptions,
  signal: AbortSignal,
): AsyncGenerator<FrameReading, void, undefined> {
  const settings: CameraOptions = {
    source,
    ...(!everyFrame && { analysisFps: analysisFps ?? analysisFpsDefault }),
    pace: 'unpaced',
    loop: false,
    inputFor: (width, height) => model.inputFor(width, height),
    masks: [],
    // No picture is asked for here.
    jpegWidthMax: 16,
    openTimeoutMs,
    stallTimeoutMs,
    signal,
  }
  const canvas = new Uint8Array(model.inputBytes)
  await using camera = await open(settings)
  for await (const taken of camera.frames()) {
    using frame = taken
    const view = frame.input(canvas)
    const { frame: number, at, width, height } = frame
    const reading = await model.read(canvas, view, options)
    yield {
      source: hideSecret(source),
      frame: number,
      at: new Date(at).toISOString(),
      width,
      height,
      ...reading,
    }
  }
}
