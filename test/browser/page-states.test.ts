/**
 * Adding a device, and the states every page owes: empty, failed, without right, narrow, zoomed, without
 * colours, in another time zone, away from the hub. Chromium against a real hub.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openFleet, openHubWithDashboard, signIn } from './fleet.ts'
import { SimulatedDevice } from './simulated-device.ts'

const places = [
  '/',
  '/devices',
  '/add-device',
  '/live',
  '/events',
  '/devices/line-4',
  '/devices/line-4/streams/belt',
] as const

test('states of the pages', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t), openBrowser(t)])
  const source = 'demo:1'
  await fleet.hub.api('POST', '/api/devices/line-4/streams', { streamId: 'belt', source })
  const base = () => fleet.hub.hub.urls.browser
  const open = async (t: TestContext, options: PageOptions = {}) => {
    const cookies = await fleet.cookies(browser)
    return await openPage(t, browser, { ...options, cookies })
  }
  const go = async (page: Page, place: string) => {
    await page.goto(base() + place)
    await page.locator('h1').first().waitFor()
    await page.locator('[aria-busy="true"]').first().waitFor({ state: 'detached' })
  }

  await t.test('a device is added: one line, the wait, and there it is', async (t) => {
    const { page, complaints } = await open(t)
    await go(page, '/devices')
    await page.getByRole('button', { name: 'Add a device' }).click()
    await page.getByLabel('Device id').fill('Gate 7')
    await page.getByText('Only lower case letters').waitFor()
    await page.getByLabel('Device id').fill('line-4')
    await page.getByText('This is a device already.').waitFor()
    await page.getByLabel('Device id').fill('gate-7')
    await page.getByLabel('Name').fill('Gate 7')
    await page.getByRole('button', { name: 'Make the command' }).click()
    const box = page.getByRole('status', { name: 'The box' })
    await box.getByText('Waiting for the box').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    assert.ok(!page.url().includes('token'), 'the token stays out of the address')
    // What the command does on a box: enrol, then connect.
    const enrolled = await fleet.hub.enrol('gate-7', 'Gate 7')
    await box.getByText('Enrolled').waitFor({ timeout: 15_000 })
    const device = await SimulatedDevice.open(enrolled)
    t.after(() => device[Symbol.asyncDispose]())
    await device.report([])
    await box.getByText('Connected').waitFor({ timeout: 15_000 })
    await box.getByRole('link', { name: 'Add its first stream' }).click()
    await page.getByRole('heading', { level: 1, name: /Gate 7/ }).waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('who may not add devices is told who can, everywhere', async (t) => {
    const { page } = await open(t)
    await page.route('**/api/session', async (route) => {
      const reply = await route.fetch()
      await route.fulfill({ response: reply, json: { ...(await reply.json()), role: 'viewer' } })
    })
    await go(page, '/devices')
    const add = page.getByRole('button', { name: 'Add a device' })
    assert.equal(await add.getAttribute('title'), 'Only an admin can add devices')
    await go(page, '/add-device')
    await page.getByText('Your role does not allow this').waitFor()
  })

  await t.test('a device that is away says so where its picture would be', async (t) => {
    const { page, complaints } = await open(t)
    await go(page, '/devices/dock-2')
    await page.getByText('The device is offline. No picture of it is kept').first().waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('every link of the main navigation opens, and back leads back', async (t) => {
    const { page, complaints } = await open(t)
    await go(page, '/')
    const names = await page
      .getByRole('navigation', { name: 'Main' })
      .getByRole('link')
      .allInnerTexts()
    assert.ok(names.length >= 4, names.join(', '))
    for (const name of names) {
      await page
        .getByRole('navigation', { name: 'Main' })
        .getByRole('link', { name, exact: true })
        .click()
      await page.getByRole('heading', { level: 1, name }).waitFor()
    }
    for (const name of names.toReversed().slice(1)) {
      await page.goBack()
      await page.getByRole('heading', { level: 1, name }).waitFor()
    }
    assert.deepEqual(complaints.filter(isOurs), [])
  })

  await t.test('on a phone each group of places opens above the bar', async (t) => {
    const { page, complaints } = await open(t, { width: 360, height: 740 })
    await go(page, '/')
    const nav = page.getByRole('navigation', { name: 'Main' })
    const learn = nav.getByRole('button', { name: 'Learn' })
    const models = nav.getByRole('link', { name: 'Models' })
    assert.equal(await models.isVisible(), false)
    await learn.click()
    await models.waitFor()
    const places = nav.getByRole('list', { name: 'Learn' }).getByRole('link')
    for (const place of await places.all()) {
      const box = await place.boundingBox()
      assert.ok(box && box.y > 0 && box.y + box.height <= 740 - 56, JSON.stringify(box))
      assert.ok(box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box))
    }
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.keyboard.press('Escape')
    await models.waitFor({ state: 'hidden' })
    const focused = await page.evaluate<string>('document.activeElement.textContent')
    assert.equal(focused, 'Learn', 'the focus is back where it was')
    await page.keyboard.press('Enter')
    await models.click()
    await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor()
    await models.waitFor({ state: 'hidden' })
    await nav.getByRole('button', { name: 'Fleet' }).click()
    await nav.getByRole('link', { name: 'Rollouts' }).waitFor()
    await page.getByRole('heading', { level: 1 }).click()
    await nav.getByRole('link', { name: 'Rollouts' }).waitFor({ state: 'hidden' })
    assert.deepEqual(complaints.filter(isOurs), [])
  })

  await t.test('768 px, and 1440 px at 200 % zoom: nothing scrolls sideways', async (t) => {
    // Zoom halves the pixels of the page: 720 at twice the density.
    for (const options of [{ width: 768 }, { width: 720, height: 450, pixelRatio: 2 }]) {
      const { page } = await open(t, options)
      for (const place of places) {
        await go(page, place)
        const width = await page.evaluate<number>('document.documentElement.scrollWidth')
        assert.ok(width <= options.width, `${place} is ${width} px wide at ${options.width}`)
      }
    }
  })

  await t.test('with forced colours each state keeps its shape and word', async (t) => {
    const { page } = await open(t)
    await page.emulateMedia({ forcedColors: 'active', reducedMotion: 'reduce' })
    await go(page, '/devices')
    const shapes = await page
      .locator('[data-device] [data-kind]')
      .evaluateAll((states) =>
        states.map((state) => [state.textContent, state.querySelector('svg')?.innerHTML]),
      )
    const byWord = new Map(shapes.map(([word, shape]) => [word, shape]))
    assert.ok(byWord.size >= 3, [...byWord.keys()].join(', '))
    assert.equal(new Set(byWord.values()).size, byWord.size, 'no two states share a shape')
    for (const place of places) {
      await go(page, place)
      assert.deepEqual(await complaintsOfAxe(page), [], place)
    }
  })

  await t.test(
    'a hub that goes away is said on every page, and what is shown keeps its time',
    async (t) => {
      const { page } = await open(t)
      await go(page, '/devices')
      await page.getByRole('link', { name: 'Line 4' }).waitFor()
      // The other places are fetched in the background, so that one can go there without the hub.
      for (const part of ['wall-page.*css', 'wall-page.*js']) {
        const loaded = `performance.getEntriesByType('resource').some(({ name }) => /${part}$/.test(name))`
        await t.waitFor(async () => assert.ok(await page.evaluate<boolean>(loaded)), {
          timeout: 20_000,
        })
      }
      await fleet.hub.close()
      await page.getByText(/Reconnecting/).waitFor({ timeout: 15_000 })
      await page.getByRole('link', { name: 'Line 4' }).waitFor()
      await page
        .getByRole('navigation', { name: 'Main' })
        .getByRole('link', { name: 'Live' })
        .click()
      await page.getByText('No answer from the hub').waitFor({ timeout: 15_000 })
      await fleet.hub.reopen()
      await page.getByTitle('Changes arrive as they happen').waitFor({ timeout: 30_000 })
      await page
        .getByRole('button', { name: 'Try again' })
        .first()
        .click({ timeout: 2000 })
        .catch(() => {})
      await page.getByText(/of \d+ streams?$/).waitFor({ timeout: 15_000 })
    },
  )

  await t.test('times are those of the viewer, in the address those of everybody', async (t) => {
    const { page } = await open(t)
    await go(
      page,
      '/events?device=line-4&from=2026-03-29T00:30:00.000Z&to=2026-03-29T01:30:00.000Z',
    )
    // Clocks in Zurich go forward at 01:00 UTC on that day: from 01:30 to 03:30.
    const chip = page.getByRole('button', { name: /29 Mar 2026/ })
    await chip.waitFor()
    assert.match((await chip.textContent()) ?? '', /01:30:00.*03:30:00/)
    await page.getByText('No event fits these filters').waitFor()
    await chip.click()
    await page.locator('[data-event]').first().waitFor()
    assert.ok(!page.url().includes('from='))
  })

  await t.test('no page asks anybody but the hub for anything', async (t) => {
    const { page } = await open(t)
    const foreign: string[] = []
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url())
      if (protocol.startsWith('http') && origin !== new URL(base()).origin)
        foreign.push(request.url())
    })
    for (const place of places) await go(page, place)
    assert.deepEqual(foreign, [])
  })

  await t.test('a hub with nothing in it says on each page what comes first', async (t) => {
    const hub = await openHubWithDashboard(t)
    const { page, complaints } = await openPage(t, browser, { cookies: await signIn(hub, browser) })
    for (const [place, title] of [
      ['/', 'No devices yet'],
      ['/devices', 'No devices yet'],
      ['/live', 'No streams yet'],
      ['/events', 'No events yet'],
      ['/devices/nobody', 'Not here'],
      ['/add-device', 'Add a device'],
    ] as const) {
      await page.goto(hub.hub.urls.browser + place)
      await page.getByRole('heading', { name: title }).first().waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [], place)
    }
    assert.deepEqual(complaints.filter(isOurs), [])
  })
})

/** Chromium itself reports what the hub rightly refuses: no session, no such device. */
const isOurs = (complaint: string): boolean => !/status of (?:401|404)/.test(complaint)
