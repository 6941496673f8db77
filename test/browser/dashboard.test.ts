/**
 * What a person sees, in a real Chromium, against a real hub and simulated devices that speak the real
 * protocol. Elements are found as people find them: by role, label and text.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DeviceDetail, EventPage } from '@edgeloop/protocol'
import type { Browser, Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import {
  appeared,
  type Fleet,
  hostileName,
  openFleet,
  openHubWithDashboard,
  strangerName,
} from './fleet.ts'
import { strokeExtent, whiteExtent } from './pixels.ts'
import { partsAt, whiteRectangle } from './scene.ts'
import { SimulatedDevice } from './simulated-device.ts'

const places = [
  '/',
  '/devices',
  '/devices/line-4',
  '/devices/line-4/metrics',
  '/devices/line-4/config',
  '/devices/line-4/history',
  '/devices/line-4/logs',
  '/devices/gate-1',
  '/devices/spare-1',
  '/live',
  '/events',
  '/people',
  '/people?user=owner',
  '/account',
  '/audit',
  '/nowhere',
] as const

test('the dashboard in Chromium', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t), openBrowser(t)])
  const base = fleet.hub.hub.urls.browser

  await t.test('a sign-in link works once, and the second time says what to do', async (t) => {
    const link = await fleet.hub.hub.signInLink()
    const { page } = await openPage(t, browser)
    await page.goto(link)
    await page.getByRole('heading', { name: 'Home' }).waitFor()
    assert.equal(new URL(page.url()).search, '', 'the token must leave the address bar')
    await page.reload()
    await page.getByRole('heading', { name: 'Home' }).waitFor()

    const { page: second } = await openPage(t, browser)
    await second.goto(link)
    await second.getByRole('alert').getByText('already used').waitFor()
    await second.getByText('./edgeloop hub link').waitFor()
    assert.ok(!second.url().includes(new URL(link).searchParams.get('token') ?? 'token'))
  })

  await t.test('every place, dark, light and 360 px wide: no complaint of anybody', async (t) => {
    const { page, complaints } = await signedIn(t, browser, fleet)
    for (const place of [...places, `/events/${await anyEvent(fleet)}?device=gate-1`]) {
      await page.goto(base + place)
      await settled(page)
      assert.equal(await page.locator('h1').count(), 1, `${place} has one h1`)
      assert.deepEqual(await complaintsOfAxe(page), [], `${place} in the dark scheme`)
      await page.emulateMedia({ colorScheme: 'light' })
      await page.locator('html[data-mantine-color-scheme="light"]').waitFor({ state: 'attached' })
      assert.deepEqual(await complaintsOfAxe(page, ['color-contrast']), [], `${place}, light`)
      await page.emulateMedia({ colorScheme: 'dark' })
      await page.setViewportSize({ width: 360, height: 760 })
      assert.equal(await page.locator('h1:visible').count(), 1, `${place} shows its h1 on a phone`)
      const width = await page.evaluate<number>('document.documentElement.scrollWidth')
      assert.ok(width <= 360, `${place} is ${width} px wide`)
      await page.setViewportSize({ width: 1440, height: 900 })
    }
    assert.deepEqual(complaints, [])
  })

  await t.test('Fleet filters and order are in the address and survive going away', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/devices`)
    await page.getByRole('button', { name: /Degraded/ }).click()
    await page.getByLabel('Filter devices').fill('south')
    await page.getByRole('button', { name: 'CPU' }).click()
    await page.getByText('1 of 4 devices').waitFor()
    assert.deepEqual([...new URL(page.url()).searchParams].sort(), [
      ['health', 'degraded'],
      ['q', 'south'],
      ['sort', 'cpu'],
    ])
    await page.getByRole('link', { name: 'Events' }).first().click()
    await page.getByRole('heading', { name: 'Events' }).waitFor()
    await page.goBack()
    await page.getByText('1 of 4 devices').waitFor()
    assert.equal(await page.getByLabel('Filter devices').inputValue(), 'south')
    await page.reload()
    await page.getByText('1 of 4 devices').waitFor()
  })

  await t.test('names with markup, right-to-left script and emoji are only text', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    page.on('dialog', () => assert.fail('a name was run'))
    await page.goto(`${base}/devices/gate-1`)
    const heading = page.getByRole('heading', { level: 1 })
    await heading.getByText(hostileName).waitFor()
    assert.equal(await heading.locator('img').count(), 0)
    await heading.getByText('Degraded').waitFor()
  })

  await t.test('a picture and its box are drawn within 2 px of each other', async (t) => {
    const box = [0.3, 0.3, 0.4, 0.4] as const
    const jpeg = await whiteRectangle(box)
    const part = { label: 'car', score: 0.9, box, colour: '#fff' }
    const device = await SimulatedDevice.open(
      await fleet.hub.enrol('rule-1'),
      new Map([
        ['plain', async () => ({ jpeg, parts: [] })],
        ['boxed', async () => ({ jpeg, parts: [part] })],
      ]),
    )
    t.after(() => device[Symbol.asyncDispose]())
    await device.report([{ streamId: 'plain' }, { streamId: 'boxed' }])
    for (const options of [{ width: 1440 }, { width: 1000, pixelRatio: 2 }, { width: 360 }]) {
      const { page } = await signedIn(t, browser, fleet, options)
      await page.goto(`${base}/devices/rule-1`)
      const white = await whiteExtent(page, 'Picture of plain')
      const stroke = await strokeExtent(page, 'Picture of boxed', '#F0E442')
      for (const side of ['left', 'top', 'right', 'bottom'] as const) {
        const apart = Math.abs(white[side] - stroke[side])
        assert.ok(apart <= 2, `${side} is ${apart} px off at ${JSON.stringify(options)}`)
      }
    }
  })

  await t.test(
    'a hidden tab wants no pictures, and wants them again when it is seen',
    async (t) => {
      const { page } = await signedIn(t, browser, fleet)
      await page.goto(`${base}/devices/line-4`)
      const wanted = () => fleet.line.wantedUntil('belt') > Date.now()
      await t.waitFor(() => assert.ok(wanted()), { timeout: 20_000 })
      await setVisibility(page, 'hidden')
      await t.waitFor(() => assert.ok(!wanted()), { timeout: 15_000 })
      await setVisibility(page, 'visible')
      await t.waitFor(() => assert.ok(wanted()), { timeout: 20_000 })
    },
  )

  await t.test('an event arrives within 1 s, is counted, and moves nothing', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/events`)
    await page.getByTitle('Changes arrive as they happen').waitFor()
    await settled(page)
    const before = await cardPlaces(page)
    const [part] = partsAt(0, 1)
    assert.ok(part)
    const saidAt = Date.now()
    await fleet.line.tell(appeared(part, new Date().toISOString(), 9001))
    await page.getByRole('button', { name: '1 new event' }).waitFor()
    const tookMs = Date.now() - saidAt
    assert.ok(tookMs < 1000, `it took ${tookMs} ms`)
    assert.deepEqual(await cardPlaces(page), before)
    await page.getByRole('button', { name: '1 new event' }).click()
    await page.locator('[data-event]').nth(before.length).waitFor()
    const after = await cardIds(page)
    assert.equal(Number(after[0]), Number(before[0]?.id) + 1)
    assert.equal(new Set(after).size, after.length)
  })

  await t.test('after a restart of the hub the page has every event once', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/events?device=line-4&kind=appeared`)
    await settled(page)
    const newest = Number((await cardIds(page))[0])
    await fleet.hub.close()
    await page.getByText(/Reconnecting/).waitFor()
    await fleet.hub.reopen()
    const [part] = partsAt(0, 1)
    assert.ok(part)
    for (let n = 0; n < 5; n++) {
      await fleet.line.tell(appeared(part, new Date().toISOString(), 9100 + n))
    }
    await page.getByRole('button', { name: '5 new events' }).waitFor({ timeout: 15_000 })
    await page.getByRole('button', { name: '5 new events' }).click()
    await page.locator(`[data-event="${newest}"]`).waitFor()
    const shown = (await cardIds(page)).slice(0, 6).map(Number)
    const stored = await list(fleet, '/api/events?device=line-4&kind=appeared&limit=6')
    assert.deepEqual(
      shown,
      stored.events.map(({ eventId }) => eventId),
    )
    assert.equal(shown[5], newest)
  })

  await t.test('an opened event is a link; j and k go through its neighbours', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/events?device=line-4`)
    await settled(page)
    const ids = await cardIds(page)
    await page.locator('[data-event]').nth(2).click()
    await page.getByRole('region', { name: `Event ${ids[2]}` }).waitFor()
    await page.keyboard.press('j')
    await page.getByRole('region', { name: `Event ${ids[3]}` }).waitFor()
    await page.keyboard.press('k')
    await page.keyboard.press('k')
    await page.getByRole('region', { name: `Event ${ids[1]}` }).waitFor()
    assert.match(page.url(), new RegExp(`/events/${ids[1]}\\?device=line-4$`))
    await page.reload()
    await page.getByRole('region', { name: `Event ${ids[1]}` }).waitFor()
  })

  await t.test('a session that ended leads to sign-in and back to the same place', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/devices?q=line`)
    await settled(page)
    await page.context().clearCookies()
    await page.goto(`${base}/devices/line-4`)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await page.getByLabel('Sign-in link').fill(await fleet.hub.hub.signInLink())
    await page.getByRole('button', { name: 'Use the link' }).click()
    await page.getByRole('heading', { name: /Line 4/ }).waitFor()
    assert.equal(new URL(page.url()).pathname, '/devices/line-4')
  })

  await t.test('a stream is added and removed, and the page says what that hits', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/devices/line-4`)
    await page.getByRole('button', { name: 'Add a stream' }).click()
    await page.getByLabel('Source').fill('rtsp://viewer:secret@10.0.0.9/stream1')
    await page.getByLabel('Stream id').fill('belt')
    await page.getByText('already has a stream belt').waitFor()
    await page.getByLabel('Stream id').fill('dock')
    await page.getByRole('button', { name: 'Add to 1 device' }).click()
    const row = page.getByRole('row', { name: /dock/ })
    await row.getByText('Connecting').waitFor()
    assert.equal(await row.getByText('secret').count(), 0)
    await row.getByRole('button', { name: 'Remove dock' }).click()
    await page.getByText('1 device, 1 stream').waitFor()
    await page.getByRole('button', { name: 'Remove 1 stream' }).click()
    await row.waitFor({ state: 'detached' })
    const detail = (await (
      await fleet.hub.api('GET', '/api/devices/line-4')
    ).json()) as DeviceDetail
    assert.deepEqual(detail.desired?.config.streams, [])
  })

  await t.test('keys go to places, to the filter and to their own sheet', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(base)
    await settled(page)
    await page.keyboard.press('g')
    await page.keyboard.press('d')
    await page.getByRole('heading', { name: 'Devices' }).waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('ge?') // typed, not acted on
    assert.equal(await page.getByLabel('Filter devices').inputValue(), 'ge?')
    await page.getByLabel('Filter devices').blur()
    await page.keyboard.press('?')
    await page.getByRole('dialog').getByText('Go to Events').waitFor()
  })

  await t.test('a new device appears without a reload and without moving the others', async (t) => {
    const { page } = await signedIn(t, browser, fleet)
    await page.goto(`${base}/devices`)
    await settled(page)
    const rows = page.locator('[data-device]')
    const before = await rows.evaluateAll((all) =>
      all.map((row) => row.getAttribute('data-device')),
    )
    const device = await SimulatedDevice.open(await fleet.hub.enrol('new-1', strangerName))
    t.after(() => device[Symbol.asyncDispose]())
    await page.getByRole('button', { name: /change.*refresh/ }).waitFor()
    assert.deepEqual(
      await rows.evaluateAll((all) => all.map((row) => row.getAttribute('data-device'))),
      before,
    )
    await page.getByRole('button', { name: /change.*refresh/ }).click()
    await page.getByRole('link', { name: strangerName }).waitFor()
  })

  await t.test('an empty hub says on each page what comes next', async (t) => {
    const empty = await openHubWithDashboard(t)
    const { page, complaints } = await openPage(t, browser)
    await page.goto(await empty.hub.signInLink())
    await page.getByText('No devices yet').waitFor()
    await page.goto(`${empty.hub.urls.browser}/devices`)
    await page.getByText('No devices yet').waitFor()
    await page.goto(`${empty.hub.urls.browser}/events`)
    await page.getByText('No events yet').waitFor()
    assert.deepEqual(complaints.filter(isOurs), [])
  })
})

/** A page of somebody who is signed in; all of them share the fleet's one session. */
async function signedIn(t: TestContext, browser: Browser, fleet: Fleet, options: PageOptions = {}) {
  return await openPage(t, browser, { ...options, cookies: await fleet.cookies(browser) })
}

/** Nothing is loading any more. */
async function settled(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await page.locator('[aria-busy="true"]').first().waitFor({ state: 'detached' })
}

/** Chromium itself reports a 401 to somebody who is not signed in yet. */
const isOurs = (complaint: string): boolean => !complaint.includes('status of 401')

const cardIds = (page: Page): Promise<(string | null)[]> =>
  page
    .locator('[data-event]')
    .evaluateAll((cards) => cards.map((card) => card.getAttribute('data-event')))

const cardPlaces = (page: Page) =>
  page.locator('[data-event]').evaluateAll((cards) =>
    cards.map((card) => {
      const { x, y } = card.getBoundingClientRect()
      return { id: card.getAttribute('data-event'), x: Math.round(x), y: Math.round(y) }
    }),
  )

async function setVisibility(page: Page, state: 'hidden' | 'visible'): Promise<void> {
  await page.evaluate(`
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' })
    document.dispatchEvent(new Event('visibilitychange'))`)
}

async function list(fleet: Fleet, path: string): Promise<EventPage> {
  return (await (await fleet.hub.api('GET', path)).json()) as EventPage
}

async function anyEvent(fleet: Fleet): Promise<number> {
  const { events } = await list(fleet, '/api/events?kind=appeared&limit=1')
  return events[0]?.eventId ?? 0
}
