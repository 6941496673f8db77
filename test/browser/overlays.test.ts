/**
 * What is drawn on a picture lies where it belongs, within 2 px: for cameras of both usual shapes, on screens of
 * any density, after the window was resized and on the whole screen. Read back from the pixels of the page.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'
import { type Extent, strokeExtent, whiteExtent } from './pixels.ts'
import { whiteRectangle } from './scene.ts'
import { SimulatedDevice } from './simulated-device.ts'

const box = [0.3, 0.3, 0.4, 0.4] as const
/** The colour of the label `car` on every picture. */
const carColour = '#F0E442'
const shapes = {
  '16:9': { width: 640, height: 360 },
  '4:3': { width: 640, height: 480 },
} as const
const offMaxPx = 2

test('overlays on pictures', needs('chromium'), async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const part = { label: 'car', score: 0.9, box, colour: '#fff' }
  for (const [n, size] of Object.values(shapes).entries()) {
    const jpeg = await whiteRectangle(box, size)
    const device = await SimulatedDevice.open(
      await hub.enrol(`rule-${n}`),
      new Map([
        ['plain', async () => ({ jpeg, size, parts: [] })],
        ['boxed', async () => ({ jpeg, size, parts: [part] })],
      ]),
    )
    t.after(() => device[Symbol.asyncDispose]())
    await device.report([
      { streamId: 'plain', ...size },
      { streamId: 'boxed', ...size },
    ])
    const [left, top, width, height] = box
    const polygon = [
      [left, top],
      [left + width, top],
      [left + width, top + height],
      [left, top + height],
    ]
    const zones = [{ name: 'rule', polygon }]
    const streams = [{ streamId: 'plain', source: 'demo:1', zones }]
    const body = { version: 0, config: { streams } }
    assert.equal((await hub.api('PUT', `/api/devices/rule-${n}/desired`, body)).status, 200)
  }
  /** A rectangle that is elsewhere in each frame, and its box with it. */
  const moving = await SimulatedDevice.open(
    await hub.enrol('moving'),
    new Map([
      [
        'moving',
        async (frame: number) => {
          const at = [0.05 + (frame % 6) * 0.12, 0.4, 0.2, 0.3] as const
          return { jpeg: await whiteRectangle(at), parts: [{ ...part, box: at }] }
        },
      ],
    ]),
  )
  t.after(() => moving[Symbol.asyncDispose]())
  await moving.report([{ streamId: 'moving' }])
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, place: string, options: PageOptions) => {
    const { page } = await openPage(t, browser, { ...options, cookies })
    await page.goto(hub.hub.urls.browser + place)
    return page
  }

  await t.test('a box and the picture it belongs to are always of one frame', async (t) => {
    const page = await open(t, '/live?device=moving&layout=1', {})
    const canvas = page.getByRole('img', { name: 'Picture of moving' })
    const lefts = new Set<number>()
    let looks = 0
    const until = Date.now() + 60_000
    while ((lefts.size < 4 || looks < 20) && Date.now() < until) {
      await page.waitForTimeout(70)
      const seen = await canvas.evaluate(leftEnds)
      if (!seen) continue
      looks++
      // The line around the box lies over the rectangle's edge; a frame apart would be far more.
      const off = Math.abs(seen.white - seen.box) / seen.width
      assert.ok(off < 0.02, `${JSON.stringify(seen)} at look ${looks}`)
      lefts.add(Math.round((seen.white / seen.width) * 50))
    }
    assert.ok(lefts.size >= 4, `only ${lefts.size} places in ${looks} looks`)
  })

  for (const [n, shape] of Object.keys(shapes).entries()) {
    for (const pixelRatio of [1, 1.5, 2]) {
      const what = `${shape} at ${pixelRatio} pixels per pixel`
      await t.test(`boxes on ${what}, resized, and on the whole screen`, async (t) => {
        const page = await open(t, `/live?device=rule-${n}&layout=4`, { pixelRatio })
        await boxLies(page, what)
        await page.setViewportSize({ width: 820, height: 700 })
        await boxLies(page, `${what}, 820 px wide`)
        await page.setViewportSize({ width: 1440, height: 900 })
        await page.keyboard.press('f')
        await t.waitFor(
          async () => assert.ok(await page.evaluate('document.fullscreenElement !== null')),
          { timeout: 10_000 },
        )
        await boxLies(page, `${what}, on the whole screen`)
      })
      await t.test(`a zone on ${what}`, async (t) => {
        const page = await open(t, `/devices/rule-${n}/streams/plain`, { pixelRatio })
        await t.waitFor(async () => assert.deepEqual(await zoneOff(page), []), {
          timeout: 10_000,
        })
        await page.setViewportSize({ width: 700, height: 900 })
        await t.waitFor(async () => assert.deepEqual(await zoneOff(page), []), {
          timeout: 10_000,
        })
      })
    }
  }
})

/** Tries until the box lies around the rectangle: a picture follows a resize a moment later. */
async function boxLies(page: Page, what: string): Promise<void> {
  const until = Date.now() + 10_000
  for (;;) {
    const white = await whiteExtent(page, 'Picture of plain')
    const off = sidesOff(white, await strokeExtent(page, 'Picture of boxed', carColour))
    if (off.length === 0) return
    if (Date.now() > until) assert.deepEqual(off, [], what)
    await page.waitForTimeout(200)
  }
}

/** Which sides of the zone are not where the rectangle of the picture ends. */
async function zoneOff(page: Page): Promise<string[]> {
  const white = await whiteExtent(page, 'Picture of plain')
  const canvas = await page.getByRole('img', { name: 'Picture of plain' }).boundingBox()
  // Its own points: the box of an SVG shape has its stroke around it.
  const points = await page.locator('svg polygon[data-kind="zone"]').evaluate(placesOf)
  assert.ok(canvas)
  const [xs, ys] = [points.map(([x]) => x - canvas.x), points.map(([, y]) => y - canvas.y)]
  return sidesOff(white, {
    left: Math.min(...xs),
    top: Math.min(...ys),
    right: Math.max(...xs),
    bottom: Math.max(...ys),
  })
}

function sidesOff(a: Extent, b: Extent): string[] {
  return (['left', 'top', 'right', 'bottom'] as const)
    .filter((side) => Math.abs(a[side] - b[side]) > offMaxPx)
    .map((side) => `${side}: ${a[side].toFixed(1)} and ${b[side].toFixed(1)}`)
}

/** What is used of an SVG shape; the function runs in the page. */
type Shape = {
  readonly points: Iterable<{ matrixTransform(matrix: unknown): { x: number; y: number } }>
  getScreenCTM(): unknown
}

function placesOf(element: unknown): (readonly [number, number])[] {
  const shape = element as Shape
  const matrix = shape.getScreenCTM()
  return Array.from(shape.points, (point) => {
    const { x, y } = point.matrixTransform(matrix)
    return [x, y] as const
  })
}

/** What is used of a canvas; the function runs in the page. */
type Canvas = {
  readonly width: number
  readonly height: number
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray }
  }
}

/** Where white and where the box begin on one line through the middle of both, read at one moment. */
function leftEnds(element: unknown): { white: number; box: number; width: number } | undefined {
  const canvas = element as Canvas
  const { width, height } = canvas
  if (width === 0) return undefined
  const { data } = canvas.getContext('2d').getImageData(0, Math.round(height * 0.6), width, 1)
  const firstNear = (rgb: readonly number[]): number => {
    for (let x = 0; x < width; x++) {
      if (rgb.every((value, n) => Math.abs((data[x * 4 + n] ?? 0) - value) < 40)) return x
    }
    return -1
  }
  const [white, box] = [firstNear([255, 255, 255]), firstNear([0xf0, 0xe4, 0x42])]
  return white < 0 || box < 0 ? undefined : { white, box, width }
}
