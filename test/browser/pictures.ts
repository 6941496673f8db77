/**
 * Draws every page for docs/pages.md, from a real hub with simulated devices: dark and light at 1440 pixels,
 * and as a phone shows it, side by side in one file per page.
 * `node test/browser/pictures.ts [--only NAME] [--folder DIR]`
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Browser, Cookie, Page } from 'playwright-core'
import sharp from 'sharp'
import { openBrowser } from './browser.ts'
import { openFleet } from './fleet.ts'
import { addDevices } from './many-devices.ts'

type Shown = {
  readonly name: string
  readonly path: string
  /** Pages that are shown before anybody has signed in. */
  readonly stranger?: true
  /** What a person does before the page is as it should be shown. */
  readonly prepare?: (page: Page) => Promise<void>
}

const pages: readonly Shown[] = [
  { name: 'sign-in', path: '/sign-in', stranger: true },
  { name: 'home', path: '/' },
  { name: 'device', path: '/devices/line-4' },
  { name: 'metrics', path: '/devices/line-4/metrics?range=1h' },
  { name: 'configuration', path: '/devices/line-4/config' },
  { name: 'live', path: '/live' },
  { name: 'events', path: '/events' },
  {
    name: 'event',
    path: '/events',
    prepare: async (page) => {
      await page.locator('a[href*="/events/"]').first().click()
      await page.waitForLoadState('networkidle').catch(() => {})
    },
  },
]

/** Drawn last, with more devices than anybody would enrol for a picture. */
const fleetPage: Shown = { name: 'fleet', path: '/devices' }
const fleetDevices = 2000

const desk = { width: 1440, height: 900 }
const phone = { width: 390, height: 844 }
const rowHeight = 480
const gap = 12
const settleMs = 2500

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    folder: {
      type: 'string',
      default: fileURLToPath(new URL('../../docs/pictures', import.meta.url)),
    },
  },
})
await mkdir(values.folder, { recursive: true })
await using opened = new AsyncDisposableStack()
const after = {
  after: (end?: unknown) =>
    opened.defer(async () => void (typeof end === 'function' && (await end()))),
}
const [fleet, browser] = await Promise.all([openFleet(after, 'Gate 1'), openBrowser(after)])
const cookies = await fleet.cookies(browser)
for (const shown of [...pages, fleetPage]) {
  if (values.only !== undefined && values.only !== shown.name) continue
  if (shown === fleetPage) await addDevices(fleet.hub, fleetDevices)
  const shots = await Promise.all(
    (
      [
        [desk, 'dark'],
        [desk, 'light'],
        [phone, 'dark'],
      ] as const
    ).map(([size, scheme]) =>
      shoot(browser, shown, { size, scheme, cookies: shown.stranger ? [] : cookies }),
    ),
  )
  const file = join(values.folder, `${shown.name}.webp`)
  const { size } = await sideBySide(shots, file)
  console.error(`${file}: ${Math.round(size / 1000)} KB`)
}

async function shoot(
  browser: Browser,
  { path, prepare }: Shown,
  options: {
    size: { width: number; height: number }
    scheme: 'dark' | 'light'
    cookies: readonly Cookie[]
  },
): Promise<Buffer> {
  const context = await browser.newContext({
    ...{ viewport: options.size, colorScheme: options.scheme, reducedMotion: 'reduce' },
    ...{ locale: 'en-GB', timezoneId: 'Europe/Zurich' },
  })
  try {
    await context.addCookies([...options.cookies])
    const page = await context.newPage()
    await page.goto(new URL(path, fleet.hub.hub.urls.browser).href)
    await page.getByRole('heading', { level: 1 }).first().waitFor()
    // Live pictures and charts come a moment after the page.
    await page.waitForTimeout(settleMs)
    if (prepare) {
      await prepare(page)
      await page.waitForTimeout(settleMs)
    }
    return await page.screenshot()
  } finally {
    await context.close()
  }
}

/** Puts shots beside each other at one height. */
async function sideBySide(shots: readonly Buffer[], file: string): Promise<{ size: number }> {
  const scaled = await Promise.all(
    shots.map((shot) =>
      sharp(shot).resize({ height: rowHeight }).toBuffer({ resolveWithObject: true }),
    ),
  )
  let left = 0
  const composites = scaled.map(({ data, info }) => {
    const placed = { input: data, left, top: 0 }
    left += info.width + gap
    return placed
  })
  const background = { r: 0, g: 0, b: 0, alpha: 0 }
  return await sharp({ create: { width: left - gap, height: rowHeight, channels: 4, background } })
    .composite(composites)
    .webp({ quality: 82 })
    .toFile(file)
}
