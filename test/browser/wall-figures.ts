/** How well a wall of live tiles does: figures for its test and its benchmark. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import type { TestHub } from '../hub/fixture.ts'
import { partsAt, pictureOf } from './scene.ts'
import { type Scene, type Shot, SimulatedDevice } from './simulated-device.ts'

export const wallTiles = 16

/** A device with a wall full of streams; its pictures are drawn beforehand, so that sending them is all it costs. */
export async function openWallDevice(hub: TestHub): Promise<SimulatedDevice> {
  const shots: Shot[] = []
  for (let n = 0; n < 24; n++) {
    const parts = partsAt(n * 0.05, 1)
    shots.push({ jpeg: await pictureOf(parts), parts })
  }
  const ids = Array.from({ length: wallTiles }, (_, n) => `tile-${String(n + 1).padStart(2, '0')}`)
  const scenes = ids.map((id, index): [string, Scene] => [
    id,
    async (frame) => shots[(frame + index) % shots.length] ?? { jpeg: new Uint8Array(), parts: [] },
  ])
  const device = await SimulatedDevice.open(await hub.enrol('wall-1', 'Wall'), new Map(scenes))
  await device.report(ids.map((streamId) => ({ streamId, name: streamId })))
  return device
}

export type WallFigures = {
  /** Of the slowest and of all tiles, pictures drawn a second. */
  readonly fpsMin: number
  readonly fpsMean: number
  readonly heapGrowthMb: number
  /** Slowest of one small request a second. */
  readonly healthMsMax: number
}

/** Watches tiles that are on screen already for `seconds`. */
export async function measureWall(page: Page, seconds: number): Promise<WallFigures> {
  const debug = await page.context().newCDPSession(page)
  await debug.send('Performance.enable')
  const heap = async () => {
    await debug.send('HeapProfiler.collectGarbage')
    const { metrics } = await debug.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? 0
  }
  await page.evaluate(counting)
  const before = await heap()
  await page.evaluate('window.drawn = {}')
  const startedAt = performance.now()
  let healthMsMax = 0
  while (performance.now() - startedAt < seconds * 1000) {
    healthMsMax = Math.max(healthMsMax, await page.evaluate<number>(asking))
    await wait(1000)
  }
  const drawn = await page.evaluate<Record<string, number>>('window.drawn')
  const elapsed = (performance.now() - startedAt) / 1000
  const counts = Array.from({ length: wallTiles }, (_, n) => Object.values(drawn)[n] ?? 0)
  const total = counts.reduce((sum, count) => sum + count, 0)
  return {
    fpsMin: round(Math.min(...counts) / elapsed),
    fpsMean: round(total / counts.length / elapsed),
    heapGrowthMb: round(((await heap()) - before) / 1e6),
    healthMsMax: round(healthMsMax),
  }
}

const round = (value: number): number => Math.round(value * 10) / 10

// Run in the page: what is drawn is counted where it is drawn.
const counting = `if (!window.drawn) {
  window.drawn = {}
  const draw = CanvasRenderingContext2D.prototype.drawImage
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    const name = this.canvas.getAttribute('aria-label')
    window.drawn[name] = (window.drawn[name] ?? 0) + 1
    return draw.apply(this, given)
  }
}`

const asking = `(async () => {
  const askedAt = performance.now()
  await (await fetch('/api/health')).text()
  return performance.now() - askedAt
})()`
