/** Drift in a real Chromium: the list, a stream beside what is usual for it, and what a person says to it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DriftAlarm } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { minutes, openSketcher } from '../hub/seeded-drift.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'

const soon = { timeout: 30_000, interval: 100 }

test('drift in Chromium', { ...needs('chromium', 'time'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, place: string, options: PageOptions = {}) => {
    const opened = await openPage(t, browser, { cookies, ...options })
    await opened.page.goto(hub.hub.urls.browser + place)
    await opened.page.getByRole('heading', { level: 1 }).first().waitFor()
    return opened
  }
  const widthOf = async (page: Page) =>
    Number(await page.evaluate('document.documentElement.scrollWidth'))

  await t.test('a hub without sketches says what comes', async (t) => {
    const { page, complaints } = await open(t, '/drift')
    await page.getByText('No stream has sent a sketch yet').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    assert.deepEqual(complaints, [])
  })

  const box = await openSketcher(await hub.enrol('gate'))
  await box.send(...minutes(0, 150), ...minutes(150, 8, { brightness: 55 }))
  await t.waitFor(async () => {
    const alarms = (await (await hub.api('GET', '/api/drift/alarms')).json()) as DriftAlarm[]
    assert.equal(alarms[0]?.kind, 'data')
  }, soon)

  await t.test('the list leads to the stream, which shows why', async (t) => {
    const { page, complaints } = await open(t, '/drift')
    const row = page.getByRole('row', { name: /gate\/yard/ })
    await row.getByText('Pictures changed').waitFor()
    await row.getByRole('link', { name: 'gate/yard' }).click()
    await page.getByRole('heading', { level: 1, name: 'gate/yard' }).waitFor()
    await page
      .getByText(/Brightness is \d+(\.\d)? where/)
      .first()
      .waitFor()
    await page.getByText('Brightness, of 255').waitFor()
    await page.getByText('Usual, and in the last half hour').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByRole('link', { name: '3 hours' }).click()
    await page.waitForURL(/hours=3/)
    assert.deepEqual(complaints, [])
  })

  for (const scheme of ['light', 'dark'] as const) {
    await t.test(`on a phone, ${scheme}, nothing is wider than the screen`, async (t) => {
      const { page } = await open(t, '/drift', { width: 360, height: 800, scheme })
      for (const place of ['/drift', '/drift/gate/yard']) {
        await page.goto(hub.hub.urls.browser + place)
        await page.getByText('gate/yard').first().waitFor()
        assert.ok((await widthOf(page)) <= 360, place)
        assert.deepEqual(await complaintsOfAxe(page), [])
      }
    })
  }

  await t.test('a viewer sees it and may say nothing to it', async (t) => {
    const { cookie } = await hub.signIn('vera', 'viewer')
    const [name = '', value = ''] = cookie.split('=')
    const viewer = [
      { name, value, domain: 'localhost', path: '/', expires: -1, httpOnly: true },
    ].map((one) => ({ ...one, secure: false, sameSite: 'Strict' as const }))
    const { page } = await open(t, '/drift/gate/yard', { cookies: viewer })
    const button = page.getByRole('button', { name: 'New normal' })
    await button.waitFor()
    assert.equal(await button.isDisabled(), true)
  })

  await t.test('an operator says that it is the new normal, and the alarm is over', async (t) => {
    const { page } = await open(t, '/drift/gate/yard')
    await page.getByRole('button', { name: 'Snooze for 8 hours' }).click()
    await page.getByRole('button', { name: 'Tell again' }).waitFor()
    await page.getByRole('button', { name: 'New normal' }).click()
    await page.getByRole('button', { name: 'Learn 1 stream anew' }).click()
    await page.getByText('accepted as normal').waitFor()
  })
})
