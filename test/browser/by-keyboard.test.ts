/** The fleet without a mouse: sorted, selected, set and opened by keys alone, while rows change underneath. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceDetail } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { openBrowser, openPage } from './browser.ts'
import { openFleet } from './fleet.ts'

const wait = { timeout: 15_000, interval: 100 }

test('a bulk act and a device by keys alone', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t, 'Gate 1'), openBrowser(t)])
  const { hub } = fleet
  for (const deviceId of ['line-4', 'gate-1', 'dock-2']) {
    const stream = { streamId: 'belt', source: 'demo:1', analysisFps: 5 }
    assert.equal((await hub.api('POST', `/api/devices/${deviceId}/streams`, stream)).status, 201)
  }
  const cookies = await fleet.cookies(browser)
  const { page, complaints } = await openPage(t, browser, { cookies })
  await page.goto(hub.hub.urls.browser)
  await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('d')
  await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor()
  await page.locator('[data-device]').first().waitFor()

  await tabTo(page, /^Name/)
  await page.keyboard.press('Enter')
  await page.waitForURL(/sort=name/)
  await page.getByRole('columnheader', { name: /Name/ }).waitFor()
  for (let n = 0; n < 3; n++) {
    await page.keyboard.press('j')
    await page.keyboard.press('x')
  }
  await page.getByText('3 devices selected').waitFor()
  const rowOf = () =>
    page.evaluate<string>('document.activeElement?.closest("[data-device]")?.dataset.device ?? ""')
  const before = await rowOf()
  assert.notEqual(before, '')
  // A row changes, and then the one that has the focus.
  await fleet.line.report([{ streamId: 'belt', state: 'stalled', reason: 'No frame for 5 s' }])
  await fleet.gate.report([{ streamId: 'north', state: 'offline', reason: 'The cable is out' }])
  await page.getByText('The cable is out').first().waitFor()
  assert.equal(await rowOf(), before, 'the focus stays on its row')

  await tabTo(page, /^Settings of streams/, 'Shift+Tab')
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Analysed fps').waitFor()
  await tabTo(page, /Analysed fps/)
  await page.keyboard.type('3')
  await dialog.getByText('3 devices will change').waitFor()
  await page.keyboard.press('Enter')
  await dialog.getByText('3 devices changed').waitFor()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  await t.waitFor(async () => {
    const reply = await hub.api('GET', '/api/devices/gate-1')
    const { desired } = (await reply.json()) as DeviceDetail
    assert.equal(desired?.config.streams[0]?.analysisFps, 3)
  }, wait)
  await page.keyboard.press('Escape')
  await page.getByText('3 devices selected').waitFor({ state: 'detached' })

  await page.keyboard.press('j')
  await t.waitFor(async () => assert.notEqual(await rowOf(), ''), wait)
  const opened = await rowOf()
  await page.keyboard.press('Enter')
  await page.waitForURL(new RegExp(`/devices/${opened}$`))
  for (const tab of ['Metrics', 'Config', 'History', 'Logs', 'Overview']) {
    await tabTo(page, new RegExp(`^${tab}$`), tab === 'Overview' ? 'Shift+Tab' : 'Tab')
    await page.keyboard.press('Enter')
    await page.locator(`a[aria-current="page"]`, { hasText: tab }).waitFor()
  }
  await page.goBack()
  await page.waitForURL(/sort=name/)
  assert.deepEqual(complaints, [])
})

/** Presses Tab until what has the focus is called so. */
async function tabTo(page: Page, name: RegExp, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  const names: string[] = []
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press(key)
    const called = await page.evaluate<string>(`(() => {
      const element = document.activeElement
      const label = element?.labels?.[0]?.textContent
      return (element?.getAttribute('aria-label') ?? label ?? element?.textContent ?? '').trim()
    })()`)
    if (name.test(called)) return
    names.push(called.slice(0, 30))
  }
  assert.fail(`${name} is not reached by ${key}: ${names.join(' | ')}`)
}
