/** Settings of a stream: drawn, typed, undone, saved, and overtaken by somebody else; Chromium and a real hub. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DeviceDetail, StreamConfig } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openFleet } from './fleet.ts'

test('settings of a stream', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t), openBrowser(t)])
  const source = 'rtsp://viewer:secret@10.0.0.9/1'
  const added = await fleet.hub.api('POST', '/api/devices/line-4/streams', {
    streamId: 'belt',
    source,
  })
  assert.equal(added.status, 201)
  const url = `${fleet.hub.hub.urls.browser}/devices/line-4/streams/belt`
  const open = async (t: TestContext, options: PageOptions = {}) => {
    const cookies = await fleet.cookies(browser)
    const { page, complaints } = await openPage(t, browser, { ...options, cookies })
    await page.goto(url)
    await page.getByRole('heading', { name: 'Zones, lines and masks' }).waitFor()
    return { page, complaints }
  }
  const detail = async () =>
    (await (await fleet.hub.api('GET', '/api/devices/line-4')).json()) as DeviceDetail
  const stored = async (): Promise<StreamConfig | undefined> =>
    (await detail()).desired?.config.streams.find(({ streamId }) => streamId === 'belt')

  await t.test(
    'a zone drawn by clicks lies where it was drawn, is saved, and keeps the password',
    async (t) => {
      const { page, complaints } = await open(t)
      await page.getByRole('button', { name: 'Draw a zone' }).click()
      await clickAt(page, [0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75])
      await page.getByRole('button', { name: 'Finish (4 points)' }).click()
      await page.getByLabel('Name', { exact: true }).first().fill('Loading bay')
      await page.getByLabel('Say so when something stays for, seconds').fill('30')
      await page.getByText('1 setting changed since version 1').waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('button', { name: 'Save version 2' }).click()
      await page.getByText('Saved as version 2').waitFor()
      const zone = (await stored())?.zones?.[0]
      assert.equal(zone?.name, 'Loading bay')
      assert.equal(zone?.dwellSeconds, 30)
      const expected = [
        [0.25, 0.25],
        [0.75, 0.25],
        [0.75, 0.75],
        [0.25, 0.75],
      ]
      for (const [index, [x = 0, y = 0]] of expected.entries()) {
        const [left = 9, top = 9] = zone?.polygon[index] ?? []
        assert.ok(
          Math.abs(left - x) < 0.005 && Math.abs(top - y) < 0.005,
          `point ${index + 1} is at ${left}, ${top}`,
        )
      }
      assert.equal((await stored())?.source, 'rtsp://viewer:…@10.0.0.9/1')
      assert.deepEqual(complaints, [])
    },
  )

  await t.test('by keyboard alone: points move, are typed, undone and done again', async (t) => {
    const { page } = await open(t)
    await page.getByRole('button', { name: /^Zone Loading bay/ }).press('Enter')
    const handle = page.getByRole('button', { name: /^Point 1 of Loading bay/ })
    const left = page.getByLabel('Point 1, percent from the left')
    const top = page.getByLabel('Point 1, percent from the top')
    const [x, y] = [Number(await left.inputValue()), Number(await top.inputValue())]
    const reads = (field: typeof left, value: number) =>
      t.waitFor(async () => assert.ok(Math.abs(Number(await field.inputValue()) - value) < 0.001), {
        timeout: 8000,
      })
    await handle.press('ArrowRight')
    await reads(left, x + 1)
    await handle.press('Shift+ArrowDown')
    await reads(top, y + 0.1)
    const second = page.getByLabel('Point 2, percent from the left')
    await second.fill('90')
    await page.getByRole('button', { name: /^Point 2 .*, 90 % from the left/ }).waitFor()
    await second.blur()
    for (let n = 0; n < 4; n++) await page.keyboard.press('u')
    await page.getByText('As it is in version 2.').waitFor()
    await reads(left, x)
    await page.keyboard.press('Shift+U')
    await reads(left, x + 1)
    await reads(top, y)
  })

  await t.test('a drawing that means nothing is named and cannot be saved', async (t) => {
    const { page } = await open(t)
    await page.getByRole('button', { name: 'Draw a mask' }).click()
    await clickAt(page, [0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9])
    await page.keyboard.press('Enter')
    await page
      .getByRole('alert')
      .getByText(/masks\/0\/polygon crosses itself/)
      .waitFor()
    assert.ok(await page.getByRole('button', { name: 'Save version 3' }).isDisabled())
    await page.getByRole('button', { name: 'Delete Mask 1' }).click()
    await page.getByText('As it is in version 2.').waitFor()
    await page.getByRole('button', { name: 'Draw a line' }).click()
    await clickAt(page, [0.1, 0.5])
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Draw a line', pressed: false }).waitFor()
  })

  await t.test(
    'who saved first is heard: the other sees what changed and goes on from there',
    async (t) => {
      const { page } = await open(t)
      await page.getByLabel('Analysed fps').fill('2')
      await page.getByLabel('Lowest score', { exact: true }).fill('0.6')
      const { desired } = await detail()
      assert.ok(desired)
      const streams = desired.config.streams.map((stream) => ({
        ...stream,
        analysisFps: 9,
        name: 'Belt A',
      }))
      const put = await fleet.hub.api('PUT', '/api/devices/line-4/desired', {
        version: desired.version,
        config: { streams },
      })
      assert.equal(put.status, 200)
      const save = page.getByRole('button', { name: /^Save version/ })
      if (await save.isEnabled()) await save.click()
      const told = page.getByRole('alert', { name: 'Somebody else saved' })
      await told.getByText(/Version 3 was saved while you edited version 2/).waitFor()
      await told.getByText('You changed too: analysisFps').waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await told.getByRole('button', { name: 'Put mine on top' }).click()
      await page.getByRole('button', { name: 'Save version 4' }).click()
      await page.getByText('Saved as version 4').waitFor()
      const { analysisFps, scoreMin, name, zones } = (await stored()) ?? {}
      assert.deepEqual([analysisFps, scoreMin, name, zones?.length], [2, 0.6, 'Belt A', 1])
    },
  )

  await t.test('labels, thresholds and directions are typed', async (t) => {
    const { page } = await open(t)
    await page.getByRole('button', { name: 'Draw a line' }).click()
    await clickAt(page, [0.1, 0.5], [0.9, 0.5])
    await page.keyboard.press('Enter')
    await page.getByLabel('Which crossings').selectOption('toRight')
    await page.getByRole('button', { name: /^Line Line 1/ }).click()
    await page.getByLabel('Only these labels').fill('gear, nut , gear')
    await page.getByLabel('A lowest score for one label').fill('nut')
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByLabel('Lowest score of nut').fill('0.8')
    await page.getByLabel('Sketch for drift every, seconds').fill('30')
    await page.getByRole('button', { name: 'Save version 5' }).click()
    await page.getByText('Saved as version 5').waitFor()
    const { labels, thresholds, lines, sketchIntervalMs } = (await stored()) ?? {}
    assert.equal(sketchIntervalMs, 30_000)
    assert.deepEqual(labels, ['gear', 'nut'])
    assert.deepEqual(thresholds, { nut: 0.8 })
    assert.equal(lines?.[0]?.direction, 'toRight')
  })

  await t.test('on a phone it can be looked at, and a viewer sees why it stays so', async (t) => {
    const { page } = await openPage(t, browser, {
      cookies: await fleet.cookies(browser),
      width: 360,
      height: 760,
      scheme: 'light',
    })
    await page.route('**/api/session', async (route) => {
      const reply = await route.fetch()
      await route.fulfill({ response: reply, json: { ...(await reply.json()), role: 'viewer' } })
    })
    await page.goto(url)
    const draw = page.getByRole('button', { name: 'Draw a zone' })
    await draw.waitFor()
    assert.ok(await draw.isDisabled())
    assert.equal(await draw.getAttribute('title'), 'Only an operator or admin can change streams')
    assert.ok(await page.getByLabel('Analysed fps').isDisabled())
    assert.deepEqual(await complaintsOfAxe(page), [])
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    assert.ok(width <= 360, `it is ${width} px wide`)
  })

  await t.test('a stream that the hub does not configure says so', async (t) => {
    const { page } = await openPage(t, browser, { cookies: await fleet.cookies(browser) })
    await page.goto(url.replace('belt', 'packing'))
    await page.getByText('Nothing to set here').waitFor()
  })
})

type Share = readonly [number, number]

/** Clicks on places of the picture, as shares of it. */
async function clickAt(page: Page, ...places: readonly Share[]): Promise<void> {
  const paper = page.getByRole('button', { name: /^Click on the picture/ })
  const box = await paper.boundingBox()
  assert.ok(box)
  for (const [index, [x, y]] of places.entries()) {
    await page.mouse.click(box.x + x * box.width, box.y + y * box.height)
    await page
      .getByRole('button', { name: `Click on the picture to set point ${index + 2};` })
      .waitFor()
  }
}
