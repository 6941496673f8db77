/**
 * The process that renders one demo clip: native encoders and seconds of drawing have no place in the
 * supervisor. Started by `demoClip`; speaks over the IPC channel and ends with it.
 */
import { setImmediate } from 'node:timers/promises'
import { type ClipEncoder, openClipEncoder } from './clip-encoder.ts'
import { createScene } from './scene.ts'
import { toYuv420, yuvBytes } from './yuv.ts'

/** From the parent, once. */
export type RenderClip = {
  readonly seed: number
  readonly seconds: number
  readonly file: string
  readonly encoder?: ClipEncoder
}

/** To the parent. */
export type ClipReport =
  | { readonly kind: 'progress'; readonly share: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string }

const progressFrames = 30

if (process.send !== undefined) {
  process.once('disconnect', () => process.exit(1))
  process.once('message', (task: RenderClip) => {
    renderClip(task).then(
      () => report({ kind: 'done' }),
      (error: unknown) =>
        report({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) }),
    )
  })
}

async function renderClip({ seed, seconds, file, encoder: name }: RenderClip): Promise<void> {
  const scene = createScene({ seed, seconds })
  const { width, height, fps } = scene
  const rgb = new Uint8Array(width * height * 3)
  const yuv = new Uint8Array(yuvBytes(width, height))
  const encoder = await openClipEncoder({ file, width, height, fps }, name)
  for (let frame = 0; frame < scene.frameCount; frame++) {
    scene.render(frame, rgb)
    toYuv420(rgb, width, height, yuv)
    await encoder.write(yuv)
    if (frame % progressFrames === 0) {
      report({ kind: 'progress', share: frame / scene.frameCount })
      // Lets go for a moment, so that it notices when its parent is gone.
      await setImmediate()
    }
  }
  await encoder.finish()
}

function report(report: ClipReport): void {
  process.send?.(report)
}
