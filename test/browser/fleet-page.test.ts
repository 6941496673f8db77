/** Fleet with thousands of devices, in a real Chromium against a real hub: speed, keys, selection, bulk acts. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DeviceDetail, DeviceRow } from '@edgeloop/protocol'
import type { Browser } from 'playwright-core'
import type { TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'
import { measureFleet } from './fleet-figures.ts'
import { addDevices } from './many-devices.ts'

const devices = 10_000
const slow = { timeout: 120_000 }

test('Fleet with ten thousand devices', needs('chromium'), async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  await addDevices(hub, devices)
  const url = `${hub.hub.urls.browser}/devices`
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, to = url) => {
    const { page, complaints } = await openPage(t, browser, { cookies })
    await page.goto(to)
    await page.locator('[data-device]').first().waitFor()
    return { page, complaints }
  }

  // The bounds of the issue are the benchmark's (npm run bench -- pages); here a slow machine must pass too.
  await t.test(
    'draws a window of rows, scrolls and filters without losing its breath',
    async (t) => {
      const { page } = await openPage(t, browser, { cookies })
      await page.goto(hub.hub.urls.browser)
      await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
      const figures = await measureFleet(page, url)
      t.diagnostic(JSON.stringify(figures))
      assert.ok(figures.domNodes < 1500, `${figures.domNodes} elements`)
      assert.ok(figures.firstRowsMs < 8000, `first rows after ${figures.firstRowsMs} ms`)
      assert.ok(figures.filterMs < 2000, `filtered after ${figures.filterMs} ms`)
      assert.ok(figures.scrollFps > 10, `${figures.scrollFps} frames per second`)
    },
  )

  await t.test('by keyboard: rows, selection, all that match, palette', async (t) => {
    const { page, complaints } = await open(t, `${url}?sort=name`)
    const focused = () =>
      page.evaluate<string>(
        'document.activeElement?.closest("[data-device]")?.dataset.device ?? ""',
      )
    await page.keyboard.press('j')
    await until(t, async () => assert.equal(await focused(), 'box-00001'))
    await page.keyboard.press('x')
    await page.keyboard.press('j')
    await until(t, async () => assert.equal(await focused(), 'box-00002'))
    await page.keyboard.press('x')
    const bar = page.getByRole('region', { name: 'Selection' })
    await bar.getByText('2 devices selected').waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('at north')
    await bar.getByText('2 devices selected, 2 of them not shown by this filter').waitFor()
    await bar.getByText('(1,250 of 10,000 match)').waitFor()
    await page.getByLabel('Filter devices').blur()
    await page.keyboard.press('*')
    await bar.getByText('1,252 devices selected').waitFor()
    await page.keyboard.press('Escape')
    await bar.waitFor({ state: 'detached' })

    await page.keyboard.press('Control+k')
    await page.getByPlaceholder('Go to…').fill('box 04711')
    await page.getByRole('button', { name: /Box 04711 at/ }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: /Box 04711/ }).waitFor()
    await page.goBack()
    await page.getByText('1,250 of 10,000 devices').waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('a click with Shift takes the rows between', async (t) => {
    const { page } = await open(t, `${url}?sort=name`)
    await page.getByLabel('Select Box 00002 at east').click()
    await page.getByLabel(/^Select Box 00006 at/).click({ modifiers: ['Shift'] })
    await page.getByText('5 devices selected').waitFor()
    await page.getByLabel(/^Select all/).click()
    await page.getByText('10,000 devices selected').waitFor()
  })

  await t.test(
    'a view is an address: columns, site and order survive, and get a name',
    async (t) => {
      const { page } = await open(t)
      await page.getByLabel('Site').selectOption('harbour')
      await page.getByText('1,250 of 10,000 devices').waitFor()
      await page.getByRole('button', { name: 'Columns' }).click()
      await page.getByRole('menuitemcheckbox', { name: 'Memory' }).click()
      await page.getByRole('columnheader', { name: 'Memory' }).waitFor({ state: 'detached' })
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'View: not saved' }).click()
      await page.getByLabel('Name of this view').fill('Harbour at night')
      await page.getByRole('button', { name: 'Save', exact: true }).click()
      const address = page.url()
      assert.match(address, /site=harbour/)
      assert.match(address, /cols=/)
      await page.goto(url)
      await page.getByRole('button', { name: 'All devices' }).click()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('link', { name: 'Harbour at night' }).click()
      await page.getByText('1,250 of 10,000 devices').waitFor()
      assert.equal(page.url(), address)
      assert.equal(await page.getByRole('columnheader', { name: 'Memory' }).count(), 0)
    },
  )

  await t.test('a bulk act hits what it says, and is undone but for who was faster', async (t) => {
    const { page, complaints } = await open(t, `${url}?sort=name`)
    const ids = ['box-00001', 'box-00002', 'box-00003']
    for (const deviceId of ids) {
      const added = await hub.api('POST', `/api/devices/${deviceId}/streams`, {
        streamId: 'gate',
        source: 'rtsp://viewer:secret@10.0.0.9/1',
        analysisFps: 5,
      })
      assert.equal(added.status, 201)
    }
    await page.getByLabel(/^Select Box 00001 at/).click()
    await page.getByLabel(/^Select Box 00004 at/).click({ modifiers: ['Shift'] })
    await page.getByRole('button', { name: /Settings of streams/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Analysed fps').fill('2')
    await dialog.getByText('3 devices will change; 1 device not: it has no streams').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    // Somebody else is faster on one of them.
    await hub.api('DELETE', '/api/devices/box-00003/streams/gate')
    await dialog.getByRole('button', { name: 'Change 3 devices' }).click()
    await dialog.getByText('2 devices changed').waitFor()
    await dialog.getByText('2 devices as before: it has no streams').waitFor()
    assert.deepEqual(await fpsOf(hub, ids), [2, 2, undefined])
    await hub.api('DELETE', '/api/devices/box-00002/streams/gate')
    await dialog.getByRole('button', { name: 'Undo on 2 devices' }).click()
    await dialog.getByText('1 device changed').waitFor()
    await dialog.getByText(/box-00002.*Cannot replace version 2: the newest is 3/).waitFor()
    await until(t, async () => assert.deepEqual(await fpsOf(hub, ids), [5, undefined, undefined]))
    assert.deepEqual(complaints, [])
  })

  await t.test('what is retired is exactly what was counted, and the filter stays', async (t) => {
    const { page, complaints } = await open(t, `${url}?sort=name&q=at+north`)
    await page.getByText('1,250 of 10,000 devices').waitFor()
    await page.getByLabel(/^Select all/).click()
    await page.getByRole('button', { name: 'Retire…' }).click()
    const dialog = page.getByRole('dialog')
    const says = '1,250 devices will be shut out at once, 0 of them connected now'
    await dialog.getByText(says).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    const button = dialog.getByRole('button', { name: 'Retire 1,250 devices' })
    assert.ok(await button.isDisabled(), 'the number is not typed yet')
    await dialog.getByLabel('Type 1250 to retire them').fill('1250')
    await button.click()
    await dialog.getByRole('progressbar', { name: 'Progress' }).waitFor()
    await dialog.getByRole('button', { name: 'Stop' }).click()
    await dialog.getByText(/^Stopped: [\d,]+ devices not tried\.$/).waitFor(slow)
    await dialog.getByRole('button', { name: /^Go on with [\d,]+ devices$/ }).click()
    await dialog.getByText(/^[\d,]+ devices retired$/).waitFor(slow)
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByText('1,250 of 10,000 devices').waitFor()
    const rows = (await (await hub.api('GET', '/api/devices')).json()) as DeviceRow[]
    const retired = rows.filter(({ health }) => health === 'retired')
    assert.equal(retired.length, 1250)
    assert.ok(retired.every(({ name }) => name.endsWith('at north')))
    assert.deepEqual(complaints, [])
  })

  await t.test('somebody who may not change streams sees why', async (t) => {
    await refusesViewer(t, browser, hub)
  })
})

async function refusesViewer(t: TestContext, browser: Browser, hub: TestHub): Promise<void> {
  const { page } = await openPage(t, browser, { cookies: await signIn(hub, browser) })
  // The page asks the hub who it is; the hub's own refusals are tested with its routes.
  await page.route('**/api/session', async (route) => {
    const reply = await route.fetch()
    await route.fulfill({ response: reply, json: { ...(await reply.json()), role: 'viewer' } })
  })
  await page.goto(`${hub.hub.urls.browser}/devices?sort=name`)
  await page.getByLabel(/^Select Box 00001 at/).click()
  const act = page.getByRole('button', { name: /Settings of streams/ })
  await act.waitFor()
  assert.ok(await act.isDisabled())
  assert.equal(await act.getAttribute('title'), 'Only an operator or admin can change streams')
  const retire = page.getByRole('button', { name: 'Retire…' })
  assert.equal(await retire.getAttribute('title'), 'Only an admin can retire devices')
}

async function fpsOf(hub: TestHub, ids: readonly string[]): Promise<(number | undefined)[]> {
  return await Promise.all(
    ids.map(async (id) => {
      const detail = (await (await hub.api('GET', `/api/devices/${id}`)).json()) as DeviceDetail
      return detail.desired?.config.streams[0]?.analysisFps
    }),
  )
}

/** Tries an assertion until it holds. */
const until = (t: TestContext, check: () => Promise<void>): Promise<void> =>
  t.waitFor(check, { timeout: 8000, interval: 50 })
