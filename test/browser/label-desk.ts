/** The Label page as somebody sits at it: what is on it, and the pointer in pixels of the picture. */
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { TestHub } from '../hub/fixture.ts'

/** Room for what a busy machine takes. */
export const deskWaitMs = 30_000

export class LabelDesk {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
    page.setDefaultTimeout(deskWaitMs)
  }

  /** Opens the queue, and waits until its first frame can be seen. */
  async open(hub: TestHub, queue: string, search = ''): Promise<void> {
    await this.page.goto(`${hub.hub.urls.browser}/label/${queue}/work${search}`)
    await this.painted()
  }

  /** The frame that is looked at is on the canvas, picture and all. */
  async painted(): Promise<void> {
    await this.page
      .getByRole('application')
      .locator('canvas[data-frame]')
      .waitFor({ state: 'attached' })
  }

  /** Number of the frame in the strip, from 1. */
  async frame(): Promise<number> {
    const label = await this.strip().locator('[aria-current="true"]').getAttribute('aria-label')
    return Number(/^Frame (\d+)/.exec(label ?? '')?.[1])
  }

  async atFrame(number: number): Promise<void> {
    await this.strip().locator(`[aria-current="true"][aria-label^="Frame ${number}:"]`).waitFor()
  }

  strip() {
    return this.page.getByRole('region', { name: 'Frames' })
  }

  /** What is in the frame: `nut 87 % 288, 216; 64 × 58`. */
  async pieces(): Promise<string[]> {
    return (await this.#objects().locator('button[aria-pressed]').allTextContents()).map(spaced)
  }

  async selected(): Promise<string | undefined> {
    const [pressed] = await this.#objects().locator('button[aria-pressed="true"]').allTextContents()
    return pressed === undefined ? undefined : spaced(pressed)
  }

  #objects() {
    return this.page.getByRole('region', { name: 'Objects', exact: true })
  }

  /** Where the picture lies on the canvas. */
  async view(): Promise<{ scale: number; x: number; y: number }> {
    return await this.page.evaluate(
      `(() => {
        const { scale, x, y } = document.querySelector('[role="application"] canvas').dataset
        return { scale: Number(scale), x: Number(x), y: Number(y) }
      })()`,
    )
  }

  /** A point of the picture, in pixels of the window. */
  async at(x: number, y: number): Promise<{ x: number; y: number }> {
    const view = await this.view()
    const box = await this.page.getByRole('application').boundingBox()
    if (!box) throw new Error('Cannot point at the picture: it is not on the page')
    return { x: box.x + view.x + x * view.scale, y: box.y + view.y + y * view.scale }
  }

  async moveTo(x: number, y: number): Promise<void> {
    const point = await this.at(x, y)
    // Pointers are at whole pixels of the screen.
    await this.page.mouse.move(Math.round(point.x), Math.round(point.y))
  }

  async click(x: number, y: number): Promise<void> {
    await this.moveTo(x, y)
    await this.page.mouse.down()
    await this.page.mouse.up()
  }

  async drag(from: readonly [number, number], to: readonly [number, number]): Promise<void> {
    await this.moveTo(...from)
    await this.page.mouse.down()
    await this.moveTo((from[0] + to[0]) / 2, (from[1] + to[1]) / 2)
    await this.moveTo(...to)
    await this.page.mouse.up()
  }

  async press(...keys: string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key)
  }

  async saved(): Promise<void> {
    await this.page.getByRole('status', { name: 'Saved' }).getByText('Saved').waitFor()
  }
}

const spaced = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

/** A context of somebody who is signed in with a role. */
export async function contextOf(
  hub: TestHub,
  browser: Browser,
  user: string,
  role: 'viewer' | 'operator',
): Promise<BrowserContext> {
  const { cookie } = await hub.signIn(user, role)
  const [name = '', value = ''] = cookie.split('=')
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    reducedMotion: 'reduce',
  })
  const { hostname } = new URL(hub.hub.urls.browser)
  await context.addCookies([
    {
      name,
      value,
      domain: hostname,
      path: '/',
      expires: -1,
      httpOnly: true,
      secure: false,
      sameSite: 'Strict',
    },
  ])
  return context
}
