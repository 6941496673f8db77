/** The door to all cameras: what the source is, and which decoder reads it. */
import { type Camera, CameraError, type CameraOptions } from './camera.ts'
import type { LibAv } from './node-av-input.ts'
import { parseSource, type Source } from './source.ts'

export type OpenCameraOptions = CameraOptions & {
  /** `auto`: node-av where it can be loaded, else ffmpeg where it answers. */
  readonly decoder?: 'auto' | 'node-av' | 'ffmpeg'
  /** Ms since the epoch; the system's clock when left out. */
  readonly now?: () => number
}

/**
 * Opens a source and reads its first picture.
 * `frames()` of the camera throws a `CameraError` when a live source stalls, ends or sends garbage,
 * and the signal's reason when that aborts.
 * @throws {CameraError} refused or unreadable; the message holds no password
 * @throws the signal's reason when aborted
 */
export async function openCamera(options: OpenCameraOptions): Promise<Camera> {
  options.signal.throwIfAborted()
  const source = await parseSource(options.source)
  const now = options.now ?? Date.now
  if (source.kind === 'folder') {
    const { openImageFolder } = await import('./image-folder.ts')
    return openImageFolder(source, options, now)
  }
  if (source.kind === 'http') {
    const { openHttpCamera } = await import('./http-camera.ts')
    // ffmpeg follows redirects wherever they lead: pictures are fetched here, and sharp reads them.
    const lib = options.decoder === 'ffmpeg' ? undefined : await nodeAv(source, options.decoder)
    return openHttpCamera(lib, source, options, now)
  }
  // Devices and hardware are the program's: node-av has neither.
  const { decoder = 'auto', hardwareDecode = 'none' } = options
  if (source.kind === 'device') {
    if (decoder === 'node-av') throw notByNodeAv(source)
  } else {
    const prefersFfmpeg = decoder === 'auto' && hardwareDecode !== 'none' && (await hasFfmpeg())
    const av = decoder === 'ffmpeg' || prefersFfmpeg ? undefined : await nodeAv(source, decoder)
    if (av !== undefined) {
      const { openNodeAvCamera } = await import('./node-av-camera.ts')
      return openNodeAvCamera(av, source, options, now)
    }
  }
  const version = await ffmpeg(source, source.kind === 'device' ? 'ffmpeg' : decoder)
  const { openFfmpegCamera } = await import('./ffmpeg-camera.ts')
  return openFfmpegCamera(version, source, options, now)
}

function notByNodeAv({ name }: Source): CameraError {
  return new CameraError(
    'refused',
    `Cannot open camera ${name}: node-av does not read devices; use the decoder auto or ffmpeg`,
  )
}

async function hasFfmpeg(): Promise<boolean> {
  const { ffmpegVersion } = await import('./ffmpeg-probe.ts')
  return ffmpegVersion().then(
    () => true,
    () => false,
  )
}

async function nodeAv(
  source: Source,
  decoder: 'auto' | 'node-av' = 'auto',
): Promise<LibAv | undefined> {
  const { loadLibAv } = await import('./node-av-input.ts')
  try {
    return await loadLibAv()
  } catch (cause) {
    if (decoder === 'auto') return undefined
    throw new CameraError(
      'refused',
      `Cannot open camera ${source.name}: node-av cannot be loaded; install the optional dependency node-av, or use the decoder ffmpeg`,
      { cause },
    )
  }
}

async function ffmpeg(source: Source, decoder: 'auto' | 'ffmpeg' | 'node-av' = 'auto') {
  const { ffmpegVersion } = await import('./ffmpeg-probe.ts')
  try {
    return await ffmpegVersion()
  } catch (cause) {
    const [missing, way] =
      decoder === 'ffmpeg'
        ? [
            'the program ffmpeg does not answer',
            source.kind === 'device' ? 'install it' : 'install it, or use the decoder node-av',
          ]
        : [
            'no decoder is installed',
            'install the optional dependency node-av or the program ffmpeg',
          ]
    throw new CameraError('refused', `Cannot open camera ${source.name}: ${missing}; ${way}`, {
      cause,
    })
  }
}
