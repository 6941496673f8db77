/**
 * Draws a compiler's report for docs/models.md: dark and light, and as a phone shows it.
 * `node test/browser/report-picture.ts REPORT.html [OUT.webp]`
 */
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { openBrowser } from './browser.ts'
import { sideBySide } from './side-by-side.ts'

const [report = '', out] = process.argv.slice(2)
const picture =
  out ?? fileURLToPath(new URL('../../docs/pictures/compile-report.webp', import.meta.url))
await using opened = new AsyncDisposableStack()
const browser = await openBrowser({
  after: (end?: unknown) =>
    opened.defer(async () => void (typeof end === 'function' && (await end()))),
})
const desk = { width: 1120, height: 1180 }
const phone = { width: 390, height: 844 }
const shots: Buffer[] = []
for (const [viewport, colorScheme] of [
  [desk, 'dark'],
  [desk, 'light'],
  [phone, 'dark'],
] as const) {
  const page = await browser.newPage({ viewport, colorScheme })
  await page.goto(pathToFileURL(resolve(report)).href)
  shots.push(await page.screenshot())
}
const { size } = await sideBySide(shots, picture)
console.error(`${picture}: ${Math.round(size / 1000)} KB`)
