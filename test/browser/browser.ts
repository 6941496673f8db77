/** Chromium for tests: signed-in pages that remember everything the console complained about. */
import type { TestContext } from 'node:test'
import { type Browser, type Cookie, chromium, type Page } from 'playwright-core'
import { chromiumPath } from '../require.ts'

type After = Pick<TestContext, 'after'>

/** One Chromium for a test file. */
export async function openBrowser(t: After): Promise<Browser> {
  const executablePath = chromiumPath()
  const browser = await chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  t.after(() => browser.close())
  return browser
}

export type PageOptions = {
  readonly scheme?: 'light' | 'dark'
  readonly width?: number
  readonly height?: number
  readonly pixelRatio?: number
  /** Of a session that exists already. */
  readonly cookies?: readonly Cookie[]
}

/** A page in a fresh profile; `complaints` collects console errors and exceptions. */
export async function openPage(
  t: After,
  browser: Browser,
  { scheme = 'dark', width = 1440, height = 900, pixelRatio = 1, cookies = [] }: PageOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: pixelRatio,
    locale: 'en-GB',
    reducedMotion: 'reduce',
    timezoneId: 'Europe/Zurich',
  })
  t.after(() => context.close())
  await context.addCookies([...cookies])
  const page = await context.newPage()
  page.setDefaultTimeout(8000)
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => complaints.push(`${error}`))
  return { page, complaints }
}
