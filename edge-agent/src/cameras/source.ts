/**
 * What a source text means: the address of a live camera, a clip or a folder of images. Everything
 * that cannot be one of them is refused here, before any decoder is asked.
 */
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { hideSecret, nearestName } from '@edgeloop/protocol'
import { CameraError } from './camera.ts'

export type Source =
  | { readonly kind: 'live'; readonly url: string; readonly name: string }
  /** JPEG pictures by HTTP: one endless answer, or a snapshot to be asked for again and again. */
  | { readonly kind: 'http'; readonly url: string; readonly name: string }
  /** A camera on this machine, in ffmpeg's words: which driver, which device, what to ask of it. */
  | {
      readonly kind: 'device'
      readonly driver: 'v4l2' | 'lavfi'
      readonly path: string
      /** WIDTHxHEIGHT. */
      readonly size?: string
      readonly fps?: number
      /** Codec or pixel format the camera shall send: `mjpeg`, `h264`, `yuyv422`… */
      readonly format?: string
      readonly name: string
    }
  | { readonly kind: 'file'; readonly path: string; readonly name: string }
  | { readonly kind: 'folder'; readonly path: string; readonly name: string }

/** A source that node-av reads. */
export type NodeAvSource = Source & { kind: 'live' | 'file' }

/** A source that the program ffmpeg reads. */
export type FfmpegSource = Source & { kind: 'live' | 'device' | 'file' }

/** True where pictures come when they come: nothing waits, loops or starts over. */
export const isLive = ({ kind }: Source): boolean => kind !== 'file' && kind !== 'folder'

const schemes = ['rtsp', 'rtsps', 'http', 'https', 'v4l2', 'file'] as const
const supported =
  'rtsp://…, rtsps://…, http://… or https://… (MJPEG or JPEG), v4l2:/dev/video0, file:PATH, the path of a clip or of a folder of images'

/**
 * What `text` names. `name` is how people see it: quoted, without its password.
 * @throws {CameraError} `refused` where the scheme is not supported or the path does not exist
 */
export async function parseSource(text: string): Promise<Source> {
  const name = `"${hideSecret(text)}"`
  // Two characters at least: `C:\clips` is a path, not an address.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === 'rtsp' || scheme === 'rtsps')
    return { kind: 'live', url: liveUrl(text, name), name }
  if (scheme === 'http' || scheme === 'https')
    return { kind: 'http', url: liveUrl(text, name), name }
  if (scheme === 'v4l2') return await device(text.slice('v4l2:'.length), name)
  if (scheme !== undefined && scheme !== 'file') {
    const near = nearestName(scheme, schemes)
    const hint = near === undefined ? '' : ` (did you mean "${near}:"?)`
    throw new CameraError(
      'refused',
      `Cannot open camera ${name}: "${scheme}:" is not supported${hint}; use ${supported}`,
    )
  }
  const path = scheme === 'file' ? filePath(text, name) : text
  if (path === '') {
    throw new CameraError(
      'refused',
      `Cannot open camera ${name}: no source given; use ${supported}`,
    )
  }
  try {
    const kind = (await stat(path)).isDirectory() ? 'folder' : 'file'
    return { kind, path, name }
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code
    const why = reason === 'ENOENT' ? 'no such file or folder' : `cannot be read (${reason})`
    throw new CameraError('refused', `Cannot open camera ${name}: ${why}; check the path`, {
      cause,
    })
  }
}

const deviceOptions = {
  size: { pattern: /^[1-9]\d{1,4}x[1-9]\d{1,4}$/, example: '1280x720' },
  fps: { pattern: /^(?!0+(\.0+)?$)\d{1,3}(\.\d{1,3})?$/, example: '15' },
  format: { pattern: /^[a-z0-9_]{2,20}$/, example: 'mjpeg' },
} as const

/** `/dev/video0?size=…&fps=…&format=…` */
async function device(text: string, name: string): Promise<Source> {
  const refuse = (why: string, options?: ErrorOptions) =>
    new CameraError('refused', `Cannot open camera ${name}: ${why}`, options)
  const [path = '', query = ''] = text.split('?', 2)
  if (!/^\/dev\/[A-Za-z0-9_./:-]+$/.test(path) || path.includes('..')) {
    throw refuse(`"${path}" is not a device; write v4l2:/dev/video0?size=1280x720&fps=15`)
  }
  const asked: { size?: string; fps?: number; format?: string } = {}
  for (const [key, value] of new URLSearchParams(query)) {
    const option = deviceOptions[key as keyof typeof deviceOptions]
    if (option === undefined) {
      const near = nearestName(key, Object.keys(deviceOptions))
      const hint = near === undefined ? '' : ` (did you mean "${near}"?)`
      throw refuse(`"${key}" is unknown${hint}; a device knows size, fps and format`)
    }
    if (!option.pattern.test(value)) {
      throw refuse(`"${value}" is no ${key}; write ${key}=${option.example}`)
    }
    if (key === 'fps') asked.fps = Number(value)
    else asked[key as 'size' | 'format'] = value
  }
  try {
    if ((await stat(path)).isCharacterDevice()) {
      return { kind: 'device', driver: 'v4l2', path, ...asked, name }
    }
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'no such device' : `the device cannot be read (${code})`
    throw refuse(`${why}; check that the camera is plugged in: ls /dev/video*`, { cause })
  }
  throw refuse(`"${path}" is no camera; look for one: ls /dev/video*`)
}

function liveUrl(text: string, name: string): string {
  if (URL.canParse(text) && new URL(text).hostname !== '') return text
  throw new CameraError(
    'refused',
    `Cannot open camera ${name}: the address is not complete; write ${text.split(':', 1)[0]!.toLowerCase()}://USER:PASSWORD@HOST:PORT/PATH`,
  )
}

/** `file:PATH`, `file://PATH` with percent escapes, or `file:` before a relative path. */
function filePath(text: string, name: string): string {
  if (!text.startsWith('file://')) return text.slice('file:'.length)
  try {
    return fileURLToPath(text)
  } catch (cause) {
    throw new CameraError(
      'refused',
      `Cannot open camera ${name}: not an address of a local file; write file:PATH`,
      { cause },
    )
  }
}

/**
 * What a program said about the source it was given: shorter by the address it repeats, and without
 * the password.
 */
export function secretless(text: string, source: Source): string {
  if (!('url' in source)) {
    return text.replaceAll(`file:${source.path}: `, '').replaceAll(`${source.path}: `, '')
  }
  const { password } = new URL(source.url)
  const hidden = text.replaceAll(`${source.url}: `, '').replaceAll(source.url, source.name)
  if (password === '') return hidden
  return hidden.replaceAll(password, '…').replaceAll(decodeURIComponent(password), '…')
}
