/** Events looked through by a person: timeline, marks, keys, undo, in Chromium against a real hub. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EventPage } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { appeared, openFleet } from './fleet.ts'
import { partsAt } from './scene.ts'

test('events under review', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t), openBrowser(t)])
  const base = `${fleet.hub.hub.urls.browser}/events`
  const open = async (t: TestContext, search = '', options: PageOptions = {}) => {
    const cookies = await fleet.cookies(browser)
    const { page, complaints } = await openPage(t, browser, { ...options, cookies })
    await page.goto(base + search)
    await page.locator('[data-event]').first().waitFor()
    return { page, complaints }
  }
  const list = async (query: string) =>
    (await (await fleet.hub.api('GET', `/api/events?${query}`)).json()) as EventPage

  await t.test(
    'the timeline says what is in it, and a moment of it becomes the filter',
    async (t) => {
      const { page, complaints } = await open(t)
      const lane = page.getByRole('slider', { name: /^line-4 \/ belt: 7[0-9] events/ })
      await lane.waitFor()
      await page.getByRole('slider', { name: /^gate-1 \/ south: 2 events, 1 alarm/ }).waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await lane.focus()
      await page.keyboard.press('End')
      await page.keyboard.press('ArrowLeft')
      await page.keyboard.press('Enter')
      await page
        .getByRole('button', { name: /^Marked/ })
        .or(page.getByText(/ to /))
        .first()
        .waitFor()
      const { searchParams } = new URL(page.url())
      assert.equal(searchParams.get('device'), 'line-4')
      assert.equal(searchParams.get('stream'), 'belt')
      const [from, to] = [searchParams.get('from') ?? '', searchParams.get('to') ?? '']
      assert.equal(
        Date.parse(to) - Date.parse(from),
        180_000,
        'a slot of six hours in 120 is three minutes',
      )
      const expected = await list(`device=line-4&stream=belt&from=${from}&to=${to}`)
      await t.waitFor(async () => assert.deepEqual(await cardIds(page), idsOf(expected)), {
        timeout: 8000,
      })
      await page.getByRole('button', { name: '1 h', exact: true }).click()
      await page.waitForURL(/span=1h/)
      assert.deepEqual(complaints, [])
    },
  )

  await t.test('marks by key go on to the next, are undone, and stay after a reload', async (t) => {
    const { page, complaints } = await open(t, '?device=line-4&kind=appeared')
    const ids = await cardIds(page)
    await page.locator('[data-event]').first().click()
    await page.getByRole('region', { name: `Event ${ids[0]}` }).waitFor()
    await page.keyboard.press('i')
    await page.getByRole('button', { name: 'Important', pressed: true }).waitFor()
    await page.keyboard.press('r')
    await page.getByRole('region', { name: `Event ${ids[1]}` }).waitFor()
    await page.keyboard.press('w')
    await page.getByRole('button', { name: 'False alarm', pressed: true }).waitFor()
    await page.keyboard.press('u')
    await page.getByRole('button', { name: 'False alarm', pressed: false }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.reload()
    await page.locator(`[data-event="${ids[1]}"]`).waitFor()
    await page.keyboard.press('k')
    await page.getByRole('region', { name: `Event ${ids[0]}` }).waitFor()
    await page.getByRole('button', { name: 'Important', pressed: true }).waitFor()
    await page.getByRole('button', { name: 'Reviewed', pressed: true }).waitFor()
    const important = await list('mark=important')
    assert.deepEqual(idsOf(important), [ids[0]])
    assert.deepEqual(complaints, [])
  })

  await t.test('the picture of an event goes into a dataset, with its boxes', async (t) => {
    const { page, complaints } = await open(t, '?device=line-4&kind=appeared')
    await page.locator('[data-event]').first().click()
    await page.getByRole('button', { name: 'Add to dataset…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('There is no dataset yet').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await fleet.hub.api('POST', '/api/datasets', { name: 'seen' })
    await page.reload()
    await page.getByRole('button', { name: 'Add to dataset…' }).click()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Add the picture' }).click()
    await page.getByText('The picture is in').waitFor()
    await page.getByRole('link', { name: 'seen' }).click()
    await page.getByRole('heading', { level: 1, name: 'seen' }).waitFor()
    // Its boxes are drawn.
    await page.locator('svg rect').first().waitFor({ state: 'attached' })
    assert.deepEqual(complaints, [])
  })

  await t.test('many at once say how many, hit those, move nothing, and are undone', async (t) => {
    const { page } = await open(t, '?device=gate-1')
    const before = await cardIds(page)
    await page.getByText('3 listed, 3 not reviewed by you').waitFor()
    await page.getByRole('button', { name: 'Mark 3 events as reviewed' }).click()
    await page.getByText('3 listed, 0 not reviewed by you').waitFor()
    assert.deepEqual(await cardIds(page), before)
    assert.deepEqual(idsOf(await list('device=gate-1&mark=reviewed')), before)
    await page.keyboard.press('u')
    await page.getByText('3 listed, 3 not reviewed by you').waitFor()
    assert.deepEqual((await list('device=gate-1&mark=reviewed')).events, [])
  })

  await t.test("what another marks appears, and does not count as one's own", async (t) => {
    const { page } = await open(t, '?device=gate-1')
    const [first] = await cardIds(page)
    // The machine's owner is somebody else than who is signed in here.
    const reply = await fleet.hub.api('POST', '/api/event-marks', {
      eventIds: [Number(first)],
      mark: 'reviewed',
      set: true,
    })
    assert.equal(reply.status, 200)
    const { changed } = (await reply.json()) as { changed: number[] }
    assert.deepEqual(changed, [Number(first)])
    await page
      .locator(`[data-event="${first}"]`)
      .getByText('Reviewed')
      .waitFor({ state: 'attached' })
    await page.getByText('3 listed, 3 not reviewed by you').waitFor()
  })

  await t.test('an event that comes while one reviews is counted and moves nothing', async (t) => {
    const { page } = await open(t, '?mark=unreviewed&device=line-4')
    await page.getByTitle('Changes arrive as they happen').waitFor()
    const before = await cardIds(page)
    const [part] = partsAt(0, 1)
    assert.ok(part)
    await fleet.line.tell(appeared(part, new Date().toISOString(), 777))
    await page.getByRole('button', { name: '1 new event' }).waitFor()
    assert.deepEqual(await cardIds(page), before)
  })

  await t.test('the picture is large by a key, and small again by Escape', async (t) => {
    const { page } = await open(t, '?device=line-4&kind=appeared')
    const widthOf = () =>
      page.locator('section[aria-label^="Event "] img').evaluate((image) => image.clientWidth)
    // The newest has no picture.
    await page.locator('[data-event]').nth(1).click()
    await page.getByRole('button', { name: 'Large' }).waitFor()
    const small = await widthOf()
    await page.keyboard.press('o')
    await page.getByRole('button', { name: 'Beside the list' }).waitFor()
    await t.waitFor(async () => assert.ok((await widthOf()) > small * 1.4), { timeout: 8000 })
    assert.match(page.url(), /large=true/)
    assert.equal(await page.locator('h1').count(), 1)
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Large' }).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('section[aria-label^="Event "]').waitFor({ state: 'detached' })
  })

  await t.test('pointing at a card shows its whole picture, and moves nothing', async (t) => {
    const { page } = await open(t, '?device=line-4&kind=appeared')
    const card = page.locator('[data-event]', { has: page.locator('img') }).first()
    // Shares of the frame that its picture takes: one is all of it.
    const spanOf = () =>
      card.locator('img').evaluate((image) => {
        const { clientWidth, parentElement } = image
        return clientWidth / (parentElement?.clientWidth ?? 1)
      })
    const placesOf = () =>
      page.locator('[data-event]').evaluateAll((cards) =>
        cards.map((each) => {
          const { x, y, width, height } = each.getBoundingClientRect()
          return [x, y, width, height].map(Math.round)
        }),
      )
    await t.waitFor(async () => assert.ok((await spanOf()) > 1.5), { timeout: 8000 })
    const before = await placesOf()
    await card.hover()
    await t.waitFor(async () => assert.equal(await spanOf(), 1), { timeout: 8000 })
    assert.deepEqual(await placesOf(), before)
    await page.mouse.move(0, 0)
    await t.waitFor(async () => assert.ok((await spanOf()) > 1.5), { timeout: 8000 })
    await card.focus()
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Tab')
    await t.waitFor(async () => assert.equal(await spanOf(), 1), { timeout: 8000 })
  })

  await t.test(
    'a box whose clock is ahead is said so, and its events keep their time',
    async (t) => {
      const gate = fleet.gate
      const at = new Date(Date.now() + 3 * 3_600_000 + 60_000).toISOString()
      await gate.tell({ kind: 'stream', at, streamId: 'north', state: 'stalled', reason: 'Clock' })
      const { page, complaints } = await open(t, '?device=gate-1&kind=stream')
      const card = page.locator('[data-event]').first()
      await card.getByText('in 3 h').waitFor()
      await card.click()
      const panel = page.getByRole('region', { name: /^Event \d/ })
      await panel.getByText('3 h earlier: the clock of the device is ahead').waitFor()
      await panel.getByRole('link', { name: 'gate-1' }).click()
      await page.getByText('Its clock is 3 h ahead').waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      // Set right, it is said no more.
      const now = new Date().toISOString()
      await gate.tell({ kind: 'stream', at: now, streamId: 'north', state: 'live', reason: '' })
      await page.reload()
      await page.getByRole('heading', { level: 1 }).waitFor()
      await page.getByText('Certificate until').waitFor()
      assert.equal(await page.getByText(/Its clock is/).count(), 0)
      assert.deepEqual(complaints, [])
    },
  )

  await t.test('somebody who may not mark sees why', async (t) => {
    const { page } = await openPage(t, browser, { cookies: await fleet.cookies(browser) })
    await page.route('**/api/session', async (route) => {
      const reply = await route.fetch()
      await route.fulfill({ response: reply, json: { ...(await reply.json()), role: 'viewer' } })
    })
    await page.goto(`${base}?device=gate-1`)
    const all = page.getByRole('button', { name: /Mark \d+ events? as reviewed/ })
    await all.waitFor()
    assert.ok(await all.isDisabled())
    assert.equal(await all.getAttribute('title'), 'Only an operator or admin can mark events')
  })

  await t.test('on a phone and in the light scheme there is nothing to complain of', async (t) => {
    const { page } = await open(t, '', { width: 360, height: 760, scheme: 'light' })
    await page.getByRole('slider').first().waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    assert.ok(width <= 360, `it is ${width} px wide`)
  })
})

const idsOf = ({ events }: EventPage): string[] => events.map(({ eventId }) => String(eventId))

const cardIds = (page: Page): Promise<(string | null)[]> =>
  page
    .locator('[data-event]')
    .evaluateAll((cards) => cards.map((card) => card.getAttribute('data-event')))
