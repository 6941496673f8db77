/** How fast the Fleet page is with as many devices as it holds: figures for its test and its benchmark. */
import type { Page } from 'playwright-core'

export type FleetFigures = {
  /** From the request of the page to the first row on screen. */
  readonly firstRowsMs: number
  readonly domNodes: number
  /** From a key in the filter to the first frame that shows fewer rows, without the wait for typing. */
  readonly filterMs: number
  readonly scrollFps: number
  /** Of the frames while scrolling, those that took longer than 50 ms. */
  readonly slowFrames: number
}

const scrollMs = 3000

/** Opens the page anew and measures. `scrollMs` of scrolling at 400 px a frame are part of it. */
export async function measureFleet(page: Page, url: string): Promise<FleetFigures> {
  const startedAt = performance.now()
  await page.goto(url)
  await page.locator('[data-device]').first().waitFor()
  const firstRowsMs = performance.now() - startedAt
  const domNodes = await page.evaluate<number>('document.getElementsByTagName("*").length')
  const { fps, slow } = await page.evaluate<{ fps: number; slow: number }>(scrolling)
  const filterMs = await page.evaluate<number>(filtering)
  return {
    firstRowsMs: Math.round(firstRowsMs),
    domNodes,
    filterMs: Math.round(filterMs),
    scrollFps: Math.round(fps * 10) / 10,
    slowFrames: slow,
  }
}

// Run in the page, whose types these programs do not know.
const scrolling = `new Promise((resolve) => {
  const box = document.querySelector('section[aria-label="Devices"]')
  const startedAt = performance.now()
  let before = startedAt, frames = 0, slow = 0
  requestAnimationFrame(function step(now) {
    if (now - before > 50) slow++
    before = now
    frames++
    box.scrollTop = (box.scrollTop + 400) % (box.scrollHeight - box.clientHeight)
    if (now - startedAt < ${scrollMs}) requestAnimationFrame(step)
    else resolve({ fps: (frames * 1000) / (now - startedAt), slow })
  })
})`

const filtering = `new Promise((resolve) => {
  const input = document.querySelector('input[aria-label="Filter devices"]')
  const total = () => document.querySelector('table').getAttribute('aria-rowcount')
  const before = total()
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set
  set.call(input, '0099')
  const typedAt = performance.now()
  input.dispatchEvent(new Event('input', { bubbles: true }))
  requestAnimationFrame(function look() {
    if (total() === before) return requestAnimationFrame(look)
    resolve(performance.now() - typedAt - 80)
  })
})`
