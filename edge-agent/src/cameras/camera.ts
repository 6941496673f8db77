/**
 * The `Camera` contract: what the agent asks of anything that delivers pictures. Two decoders stand
 * behind it (node-av and the ffmpeg executable), and both pass the same suite.
 *
 * What a frame must be able to show is fixed when the camera is opened, because a decoder in another
 * process has to be told before it starts.
 */
import type { HardwareDecode } from '@edgeloop/protocol'

import type { CodedPacket } from '../clips/h264.ts'
import type { MaskPolygon } from './picture-mask.ts'

/** Width and height of the grey picture that the motion gate looks at. */
export const gateWidth = 160
export const gateHeight = 90

/** Where a source frame lands on the model's canvas, in pixels of the canvas. */
export type InputView = {
  /** Canvas size: what the model takes. */
  readonly width: number
  readonly height: number
  readonly channels: 'rgb' | 'bgr'
  /** The part of the canvas the frame is scaled to; the rest holds `pad` in all channels. */
  readonly content: {
    readonly left: number
    readonly top: number
    readonly width: number
    readonly height: number
  }
  readonly pad: number
}

export type CameraOptions = {
  /** `rtsp://…`, `http://…` (MJPEG or JPEG), `file:PATH` or a path to a clip, a folder of images. */
  readonly source: string
  /** Frames per second to deliver; every decoded frame when left out. */
  readonly analysisFps?: number
  /** Files: as a camera would deliver them, or as fast as they can be read. Ignored for live sources. */
  readonly pace: 'live' | 'unpaced'
  /** Files: start again at the end; frame numbers and times go on. */
  readonly loop: boolean
  /**
   * Asked with every frame that is looked at: gives the same object until the model, and so its canvas, is another.
   */
  readonly inputFor: (sourceWidth: number, sourceHeight: number) => InputView
  /** Blanked in every picture of every frame; asked of every caller, so that nobody forgets. */
  readonly masks: readonly MaskPolygon[]
  /** Largest width a JPEG will be asked for; a decoder need not keep more pixels than that. */
  readonly jpegWidthMax: number
  /** No first picture after this long: the source is refused. */
  readonly openTimeoutMs: number
  /** No packet for this long: the source has stalled. */
  readonly stallTimeoutMs: number
  /** Which hardware ffmpeg shall let decode; software where that fails. None when left out. */
  readonly hardwareDecode?: HardwareDecode
  /**
   * Told every packet of a source that sends H.264, decoded or not, when it has been read; must not wait.
   * Never told where `info.codec` is something else.
   */
  readonly onCoded?: ((packet: CodedPacket) => void) | undefined
  readonly signal: AbortSignal
}

export type CameraInfo = {
  /** What turns packets into pictures; `sharp` for images and, without node-av, MJPEG. */
  readonly decoder: 'node-av' | 'ffmpeg' | 'sharp'
  readonly codec: string
  readonly width: number
  readonly height: number
  /** As the container or the camera says; undefined where it says nothing believable. */
  readonly fps: number | undefined
  /** Where hardware was asked for: its name, or `software: ` and why. */
  readonly hardwareDecode?: string
  /** Why packets cannot be had although they were asked for, where it is not the codec. */
  readonly notCoded?: string
}

export type CameraCounts = {
  /** Frames that came out of the decoder. */
  readonly decoded: number
  /** Packets or frames the decoder could not use. */
  readonly damaged: number
}

/** One decoded picture. Native memory: it ends when the next one is asked for, or when disposed of. */
export interface Frame extends Disposable {
  /** Number of the decoded frame since the camera was opened, from 0. */
  readonly frame: number
  /** When it was captured, ms since the epoch (arrival for live sources, start + position for files). */
  readonly at: number
  readonly width: number
  readonly height: number
  /** 160×90 grey levels, row by row. Valid until the frame is disposed of. */
  gate(): Uint8Array
  /** Writes the model's canvas (height × width × 3 bytes) into `target`; returns where the frame landed. */
  input(target: Uint8Array): InputView
  /** A JPEG of the whole frame, at most `widthMax` wide. */
  jpeg(options: { widthMax: number; quality: number }): Promise<Uint8Array>
}

/** What a camera can do while its scene is still. */
export interface KeyFrames {
  /** Longest of the last times between two key frames, ms; undefined before there were enough of them. */
  readonly intervalMs: number | undefined
  /** Frames that came and were not decoded. */
  readonly passed: number
  /**
   * True: from now on only key frames are decoded and delivered. False: everything again, going on from
   * the frame just delivered. Becomes false by itself when key frames no longer come.
   */
  only: boolean
}

/** An open source. `frames()` may be taken once; it ends at the end of a file. */
export interface Camera extends AsyncDisposable {
  readonly info: CameraInfo
  readonly counts: CameraCounts
  /** Absent where the decoder cannot change what it decodes, or each picture stands by itself. */
  readonly keyFrames?: KeyFrames
  frames(): AsyncIterable<Frame>
}

export const cameraFaults = [
  /** Nobody there, wrong password, no such file. */
  'refused',
  /** It answered, but what it sends is no video we can decode. */
  'unreadable',
  /** It was live and then sent nothing for `stallTimeoutMs`. */
  'stalled',
  /** A live source closed the connection. */
  'ended',
] as const
export type CameraFault = (typeof cameraFaults)[number]

/** Thrown by opening and by `frames()`. The message is for people: what failed, why, a way out. */
export class CameraError extends Error {
  readonly fault: CameraFault
  constructor(fault: CameraFault, text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'CameraError'
    this.fault = fault
  }
}

/** Opens a source, or throws a `CameraError`. */
export type OpenCamera = (options: CameraOptions) => Promise<Camera>
