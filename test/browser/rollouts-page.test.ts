/** Rollouts in a real Chromium: the list, one rollout with its boxes, the wizard, and what a device says of its models. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { RolloutBoxPage, RolloutDetail, RolloutProgress } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { seedDevices, seedRollout } from '../hub/seeded-rollouts.ts'
import { seedVersions } from '../hub/seeded-runs.ts'
import { fails, publishedFor, SimulatedBox } from '../hub/simulated-box.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'

const stopWhy =
  'Stopped in stage 2: 4 of 15 boxes failed, allowed are 2; the boxes that took it up go back'

test('rollouts in Chromium', { ...needs('chromium', 'time'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, place: string, options: PageOptions = {}) => {
    const opened = await openPage(t, browser, { cookies, ...options })
    await opened.page.goto(hub.hub.urls.browser + place)
    await opened.page.getByRole('heading', { level: 1 }).first().waitFor()
    return opened
  }
  const json = async <T>(path: string): Promise<T> =>
    (await (await hub.api('GET', path)).json()) as T
  const widthOf = async (page: Page) =>
    Number(await page.evaluate('document.documentElement.scrollWidth'))

  await t.test('a hub without rollouts says what comes first', async (t) => {
    const { page, complaints } = await open(t, '/rollouts')
    await page.getByText('No rollouts yet').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByRole('link', { name: 'Publish a model first' }).click()
    await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('o')
    await page.getByRole('heading', { level: 1, name: 'Rollouts' }).waitFor()
    assert.deepEqual(complaints, [])
  })

  const devices = await seedDevices(hub, 60)
  await seedVersions(hub, 'parts', 4)
  const running = await seedRollout(hub, devices, 'running', { note: 'trained on week 46' })
  const stopped = await seedRollout(hub, devices, 'stopped', { version: 2, why: stopWhy })
  await seedRollout(hub, devices, 'complete', { version: 1 })
  const place = `/rollouts/${running.detail.rollout.rolloutId}`

  await t.test('the list says how far each is, and why one stopped', async (t) => {
    const { page, complaints } = await open(t, '/rollouts')
    const table = page.getByRole('region', { name: 'Rollouts' })
    await table.getByText(stopWhy).waitFor()
    await table
      .getByRole('row', { name: /parts\/3/ })
      .getByText('11 of 60')
      .waitFor()
    const bar = table.getByRole('progressbar', { name: 'Boxes of parts/3' })
    assert.equal(await bar.getAttribute('aria-valuetext'), '11 of 60 run it, 18 %')
    // A line of boxes that run it, as it rose.
    const { rolloutId } = running.detail.rollout
    const { rollouts } = await json<RolloutProgress>(`/api/rollout-progress?rollouts=${rolloutId}`)
    assert.equal(rollouts[0]?.confirmed.at(-1), 11)
    await table.locator('svg path[d^="M"]').first().waitFor({ state: 'attached' })
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByLabel('State', { exact: true }).selectOption('stopped')
    assert.match(page.url(), /state=stopped/)
    assert.equal(await table.getByRole('row').count(), 2)
    await table.getByRole('link', { name: 'parts/2' }).click()
    await page.getByRole('status').getByText(stopWhy).waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test(
    'one rollout: stages, figures beside their limits, bytes and decisions',
    async (t) => {
      const { page, complaints } = await open(t, place)
      const stages = page.getByRole('list', { name: 'Stages' })
      await stages.getByText('9 of 10').waitFor()
      // No figure is not a good figure.
      assert.equal(await stages.locator(':scope > li').last().getByText('no figure yet').count(), 4)
      await page.getByText(/^3 MB instead of 56 MB, 18\.\d× less$/).waitFor()
      await page
        .getByText('2 boxes beyond')
        .or(page.getByText(/2 beyond 70 %/))
        .first()
        .waitFor()
      await page
        .getByRole('img', { name: /^Agreement with the model before of 21 boxes/ })
        .waitFor()
      await page.getByText('no published file is for its kind of box').waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      assert.deepEqual(complaints, [])
    },
  )

  await t.test('boxes are filtered by state, stage and name, in the address', async (t) => {
    const { page } = await open(t, place)
    const table = page.getByRole('region', { name: 'List of boxes' })
    await table.locator('[data-box]').first().waitFor()
    await page.getByLabel('State', { exact: true }).selectOption('rolled-back')
    await table.getByText('probation-disagreement').first().waitFor()
    assert.match(page.url(), /state=rolled-back/)
    const rolledBack = await json<RolloutBoxPage>(`/api${place}/boxes?state=rolled-back`)
    await page.getByRole('status').getByText(`${rolledBack.total} boxes`).waitFor()
    assert.equal(await table.locator('[data-box]').count(), rolledBack.total)
    await page.reload()
    await table.getByText('probation-disagreement').first().waitFor()
    await page.getByLabel('State', { exact: true }).selectOption('')
    await page.getByRole('link', { name: '3. 100 %' }).click()
    await page.waitForURL(/stage=2/)
    await page.getByRole('status').getByText('35 boxes').waitFor()
    await page.getByLabel('Box', { exact: true }).fill('box-060')
    await page.waitForURL(/search=box-060/)
    await page.getByRole('status').getByText('1 box', { exact: true }).waitFor()
    await table.getByRole('link', { name: 'Box 060' }).click()
    await page.getByRole('heading', { level: 1, name: /Box 060/ }).waitFor()
  })

  await t.test('rolling back says how many boxes it hits, and hits those', async (t) => {
    const { rolloutId } = stopped.detail.rollout
    const { page } = await open(t, `/rollouts/${rolloutId}`)
    assert.ok(await page.getByRole('button', { name: 'Pause' }).isDisabled())
    const back = page.getByRole('button', { name: 'Roll back…' })
    await back.click()
    const dialog = page.getByRole('dialog')
    const states = (await json<RolloutDetail>(`/api/rollouts/${rolloutId}`)).stages.map(
      (stage) => stage.states,
    )
    const hit = states.reduce(
      (sum, one) => sum + (one.committed ?? 0) + (one.probation ?? 0) + (one.activating ?? 0),
      0,
    )
    await dialog.getByRole('button', { name: `Roll ${hit} boxes back` }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('switch', { name: `Roll ${hit} back` }).press('Space')
    await dialog.getByRole('button', { name: 'Abort, roll nothing back' }).waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  })

  await t.test('a device says what it runs and how it came there', async (t) => {
    const { page, complaints } = await open(t, '/devices/box-014/models')
    const updates = page.getByRole('region', { name: 'Updates of this device' })
    await updates.getByText('probation-disagreement').first().waitFor()
    await updates.getByText('On probation').first().waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await updates.getByRole('link', { name: 'parts/3' }).click()
    await page.getByRole('heading', { level: 1, name: 'parts/3' }).waitFor()
    assert.deepEqual(complaints, [])
  })

  await t.test('the wizard goes by keyboard, and stands in the address', async (t) => {
    const { page } = await open(t, '/rollouts/new?name=parts&version=4')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByRole('button', { name: 'Next: Boxes' }).press('Enter')
    await page.getByRole('heading', { level: 2, name: 'Boxes' }).waitFor()
    assert.ok(await page.getByRole('button', { name: 'Next: Stages' }).isDisabled())
    const field = page.getByRole('combobox', { name: 'Devices' })
    await field.fill('box-001')
    await field.press('Enter')
    await page.waitForURL(/devices=/)
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByRole('button', { name: 'Next: Stages' }).press('Enter')
    await page.getByLabel('Stage 1, % of boxes').fill('100')
    await page.getByText('Stage 2 has to reach more boxes than 100 %').waitFor()
    for (const stage of [4, 3, 2]) {
      await page.getByRole('button', { name: `Remove stage ${stage}` }).press('Enter')
    }
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByRole('button', { name: 'Next: Summary' }).press('Enter')
    await page.getByText('device box-001').waitFor()
    // The hub says why a box takes no part before anything begins, and the button does not let go.
    const hit = page.getByRole('complementary', { name: 'What it will hit' })
    await hit.getByRole('alert').getByText('no device is hit').waitFor()
    await hit.getByText('It has not said yet what kind of box it is').waitFor()
    assert.ok(await page.getByRole('button', { name: /^Begin with/ }).isDisabled())
    await page.reload()
    await page.getByText('device box-001').waitFor()
    await page.goBack()
  })

  await t.test('a viewer looks, and is told who may do more', async (t) => {
    const { cookie } = await hub.signIn('vera', 'viewer')
    const [name = '', value = ''] = cookie.split('=')
    const viewer = [
      { name, value, domain: 'localhost', path: '/', expires: -1, httpOnly: true },
    ].map((one) => ({ ...one, secure: false, sameSite: 'Strict' as const }))
    const { page } = await open(t, place, { cookies: viewer, scheme: 'light' })
    const abort = page.getByRole('button', { name: 'Abort…' })
    await abort.waitFor()
    assert.equal(await abort.getAttribute('title'), 'Only an operator can change rollouts')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.goto(`${hub.hub.urls.browser}/rollouts`)
    assert.ok(await page.getByRole('button', { name: 'New rollout' }).isDisabled())
    await page.goto(`${hub.hub.urls.browser}/rollouts/new`)
    await page.getByText('Your role does not allow this').waitFor()
    await page.goto(`${hub.hub.urls.browser}/devices/box-001/models`)
    await page.getByRole('region', { name: 'Updates of this device' }).waitFor()
  })

  await t.test(
    'on a phone nothing scrolls sideways but tables; what is not here says so',
    async (t) => {
      const { page } = await open(t, '/rollouts', { width: 390, height: 844, scheme: 'light' })
      for (const where of ['/rollouts', place, '/rollouts/new?step=3', '/devices/box-014/models']) {
        await page.goto(hub.hub.urls.browser + where)
        await page.getByRole('heading', { level: 1 }).first().waitFor()
        await page.locator('[aria-busy="true"]').first().waitFor({ state: 'detached' })
        const width = await widthOf(page)
        assert.ok(width <= 390, `${where} is ${width} pixels wide on a phone`)
        assert.deepEqual(await complaintsOfAxe(page), [], where)
      }
      await page.goto(`${hub.hub.urls.browser}/rollouts/00000000-0000-4000-8000-000000000000`)
      await page.getByRole('heading', { name: 'Not here' }).waitFor()
    },
  )
})

test('a rollout from the wizard to its end, in Chromium', {
  ...needs('chromium', 'time'),
  timeout: 240_000,
}, async (t) => {
  const [hub, browser] = await Promise.all([
    openHubWithDashboard(t, publishedFor('door', [1, 2])),
    openBrowser(t),
  ])
  await seedVersions(hub, 'door', 2)
  const boxes: SimulatedBox[] = []
  for (const id of ['box-1', 'box-2', 'box-3', 'box-4']) {
    const box = await new SimulatedBox(await hub.enrol(id, id), 'door').connect()
    t.after(() => box.disconnect())
    boxes.push(box)
  }
  const [, , third] = boxes
  assert.ok(third)
  third.course = fails('shadow-slow')
  const cookies = await signIn(hub, browser)
  const { page, complaints } = await openPage(t, browser, { cookies })
  const stages = JSON.stringify([
    { percent: 50, atLeast: 0, soakMinutes: 0 },
    { percent: 100, atLeast: 0, soakMinutes: 0 },
  ])
  const search = new URLSearchParams({ name: 'door', version: '2', step: '4', all: 'true' })
  search.set('approval', 'every-stage')
  search.set('stages', stages)

  await t.test('as many boxes as the summary says are hit', async () => {
    await page.goto(`${hub.hub.urls.browser}/rollouts/new?${search}`)
    await page.getByRole('button', { name: 'Begin with 4 boxes' }).click()
    await page.getByRole('heading', { level: 1, name: 'door/2' }).waitFor()
    await page.getByText('0 of 4 run it, 0 %').waitFor()
  })

  await t.test('it waits for approval, and goes on live when it comes', async () => {
    await page.getByRole('button', { name: /^Approve stage 1/ }).click({ timeout: 20_000 })
    await page.getByText('2 of 4 run it, 50 %').waitFor({ timeout: 20_000 })
    await page.getByRole('button', { name: /^Approve stage 2/ }).click({ timeout: 20_000 })
    await page.getByText('3 of 4 run it, 75 %').waitFor({ timeout: 20_000 })
    const table = page.getByRole('region', { name: 'List of boxes' })
    await table.getByText('shadow-slow').waitFor({ timeout: 20_000 })
    assert.deepEqual(await complaintsOfAxe(page), [])
  })

  await t.test('one box goes back alone, from its own page', async () => {
    const path = `/api${new URL(page.url()).pathname}/boxes?state=committed`
    const { boxes: there } = (await (await hub.api('GET', path)).json()) as RolloutBoxPage
    const deviceId = there[0]?.deviceId ?? assert.fail('no box runs it')
    await page.goto(`${hub.hub.urls.browser}/devices/${deviceId}/models`)
    await page.getByRole('button', { name: 'Roll door back' }).click()
    await page.getByRole('button', { name: 'Roll 1 box back' }).click()
    await page.getByText('Taken back').waitFor({ timeout: 20_000 })
    assert.equal(boxes.find(({ id }) => id === deviceId)?.version, 0)
  })

  await t.test('an abort hits as many boxes as its button says', async () => {
    await page.goBack()
    await page.getByRole('heading', { level: 1, name: 'door/2' }).waitFor()
    await page.getByRole('button', { name: /^(?:Abort|Roll back)…$/ }).click()
    await page.getByRole('button', { name: 'Roll 2 boxes back' }).click()
    await t.waitFor(
      () =>
        assert.deepEqual(
          boxes.map(({ version }) => version),
          [0, 0, 0, 0],
        ),
      { timeout: 20_000 },
    )
    await page.getByText('0 of 4 run it, 0 %').waitFor({ timeout: 20_000 })
  })
  assert.deepEqual(complaints, [])
})
