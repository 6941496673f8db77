/** The log of a device on its page: read, narrowed, followed, kept as a file, and said where it cannot be had. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openFleet } from './fleet.ts'

test('the log of a device', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t), openBrowser(t)])
  const open = async (t: TestContext, place: string, options: PageOptions = {}) => {
    const cookies = await fleet.cookies(browser)
    const opened = await openPage(t, browser, { ...options, cookies })
    await opened.page.goto(fleet.hub.hub.urls.browser + place)
    await opened.page.locator('h1').first().waitFor()
    return opened
  }
  const lines = (page: Page) => page.getByRole('region', { name: 'Lines of the log' })
  const says = pino({ level: 'debug' }, fleet.line.log)
  says.info({ version: 3 }, 'Desired configuration is in force')
  says.warn({ streamId: 'belt' }, 'No frame for 5 s')
  says.error('The media process was killed <b onclick=alert(1)>')

  await t.test('lines are read, and narrowed by level and words in the address', async (t) => {
    const { page, complaints } = await open(t, '/devices/line-4')
    await page.getByRole('link', { name: 'Logs' }).click()
    await lines(page).getByText('Desired configuration is in force').waitFor()
    await lines(page).getByText('<b onclick=alert(1)>').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByLabel('Level').selectOption('warn')
    await page.getByText('2 of 3 lines').waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('BELT frame')
    await page.getByText('1 of 3 lines').waitFor()
    await page.waitForURL(/level=warn/)
    await page.waitForURL(/q=BELT/)
    await page.reload()
    await page.getByText('1 of 3 lines').waitFor()
    await page.getByLabel('Search the log').fill('nothing like it')
    await page.getByText('No line fits').waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('new lines come while somebody follows, and not before', async (t) => {
    const { page, complaints } = await open(t, '/devices/line-4/logs')
    await page.getByText('3 lines').waitFor()
    says.info('A fourth line')
    await page.waitForTimeout(2500)
    assert.equal(await lines(page).getByText('A fourth line').count(), 0)
    await page.getByRole('switch', { name: 'Follow' }).check()
    await lines(page).getByText('A fourth line').waitFor()
    says.info('A fifth line')
    await lines(page).getByText('A fifth line').waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('what is shown is kept as a file', async (t) => {
    const { page } = await open(t, '/devices/line-4/logs?level=error')
    await lines(page).getByText('The media process was killed').waitFor()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download' }).click(),
    ])
    assert.match(download.suggestedFilename(), /^line-4-.*\.log$/)
    const text = await readFile(await download.path(), 'utf8')
    assert.match(text, /^\S+Z error The media process was killed <b onclick=alert\(1\)>\n$/)
  })

  await t.test('a device that is away is a state, not an error', async (t) => {
    const { page, complaints } = await open(t, '/devices/dock-2/logs')
    await page.getByRole('heading', { name: 'No lines from this device' }).waitFor()
    await page.getByText(/"dock-2" is not connected/).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    assert.deepEqual(complaints, [])
  })

  await t.test('lines that were read stay when the device goes away', async (t) => {
    const { page, complaints } = await open(t, '/devices/gate-1/logs')
    await page.getByText('The log is empty').waitFor()
    pino({}, fleet.gate.log).warn('The last word')
    await page.getByRole('button', { name: 'Read again' }).click()
    await lines(page).getByText('The last word').waitFor()
    await fleet.gate[Symbol.asyncDispose]()
    await page.getByRole('button', { name: 'Read again' }).click()
    await page.getByText(/These lines were read at/).waitFor()
    await lines(page).getByText('The last word').waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('who may not read it is told who can', async (t) => {
    const cookies = await fleet.cookies(browser)
    const { page, complaints } = await openPage(t, browser, { cookies })
    await page.route('**/api/session', async (route) => {
      const reply = await route.fetch()
      await route.fulfill({ response: reply, json: { ...(await reply.json()), role: 'viewer' } })
    })
    await page.goto(`${fleet.hub.hub.urls.browser}/devices/line-4/logs`)
    await page.getByText('Only an operator or admin can read the log').waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('on a phone nothing scrolls sideways', async (t) => {
    const { page } = await open(t, '/devices/line-4/logs', { width: 360, height: 740 })
    await page.getByText('A fifth line').waitFor()
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    assert.equal(width, 360)
  })
})
