/**
 * How long after its key the next frame can be seen on the Label page: a scripted person accepts or mends frames in
 * Chromium, against a real hub. `npm run bench -- label [--frames N] [--pauseMs N]`
 */
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openBrowser, openPage } from '../browser/browser.ts'
import { openHubWithDashboard, signIn } from '../browser/fleet.ts'
import { LabelDesk } from '../browser/label-desk.ts'
import { seedQueue } from '../browser/label-queue.ts'
import type { Bench } from './bench.ts'

/** Of the notes on the dashboard: with the next frames fetched ahead. */
const target = { p95Ms: 100 }
/** Three frames of ten are mended: the selected box is moved, and is another class. */
const isMended = (frame: number) => frame % 10 < 3

export const bench: Bench = async ({ args }) => {
  const { values } = parseArgs({
    args,
    options: {
      frames: { type: 'string', default: '100' },
      // Nobody accepts frames without looking at them; 3 s a frame are 20 a minute.
      pauseMs: { type: 'string', default: '600' },
    },
  })
  const frames = Number(values.frames)
  await using opened = new AsyncDisposableStack()
  // The fixtures of the tests ask for no more of a test than to be closed with it.
  const t = {
    after: (close?: unknown) =>
      opened.defer(async () => void (typeof close === 'function' && (await close()))),
  }
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const queue = await seedQueue(hub, frames + 1, { queue: 'pace' })
  const { page } = await openPage(t, browser, { cookies: await signIn(hub, browser) })
  const desk = new LabelDesk(page)
  await desk.open(hub, queue.queue)
  await page.evaluate(watching)
  for (let frame = 0; frame < frames; frame++) {
    await wait(Number(values.pauseMs))
    if (isMended(frame)) await desk.press('Tab', 'ArrowLeft', '2')
    await desk.press('Space')
    await desk.atFrame(frame + 2)
  }
  await desk.saved()
  const taken = await page.evaluate<number[]>('window.taken')
  const sorted = taken.toSorted((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  const figures = {
    frames: taken.length,
    p50Ms: Math.round(at(0.5)),
    p95Ms: Math.round(at(0.95)),
    maxMs: Math.round(at(1)),
  }
  return {
    name: 'label',
    rows: [{ page: `Label, ${frames} frames of 640×360`, ...figures }],
    json: { target, reached: figures.p95Ms <= target.p95Ms, ...figures },
  }
}

// Run in the page: from the key until the next frame is on the canvas and the screen has had its turn.
const watching = `(() => {
  window.taken = []
  window.addEventListener('keydown', (event) => {
    if (event.code !== 'Space') return
    const begunAt = performance.now()
    const shown = () => document.querySelector('[role="application"] canvas').dataset.frame
    const before = shown()
    const look = () => {
      if (shown() === before) requestAnimationFrame(look)
      else window.taken.push(performance.now() - begunAt)
    }
    requestAnimationFrame(look)
  }, { capture: true })
})()`
