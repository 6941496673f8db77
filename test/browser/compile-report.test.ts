/** The compiler's report in Chromium: readable on a phone, in both schemes, by everybody. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exampleReport } from '../../model-compiler/src/report/example.ts'
import { reportPage } from '../../model-compiler/src/report/page.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'

test('the report fits a phone, and axe finds nothing', needs('chromium'), async (t) => {
  const browser = await openBrowser(t)
  for (const scheme of ['dark', 'light'] as const) {
    for (const width of [360, 1280]) {
      const { page, complaints } = await openPage(t, browser, { scheme, width })
      const asked: string[] = []
      page.on('request', (request) => asked.push(request.url()))
      await page.setContent(reportPage(exampleReport))
      assert.match((await page.getByRole('heading', { level: 1 }).textContent()) ?? '', /onerror/)
      assert.equal(await page.getByRole('img').count(), 5)
      const wide = await page.evaluate('document.documentElement.scrollWidth')
      assert(Number(wide) <= width, `${wide} wide on ${width}`)
      assert.deepEqual(await complaintsOfAxe(page), [])
      assert.deepEqual(complaints, [])
      assert.deepEqual(asked, [])
    }
  }
})
