/** What boxes sent, in a real Chromium: the grid, one sample, the budget, and asking a box for more. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import {
  type DeviceDetail,
  type FieldSamplePage,
  type SampleBudgetShown,
  topicFor,
} from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'
import { contextOf } from './label-desk.ts'
import { sendSamples } from './sent-samples.ts'

const sent = 7
const patient = { timeout: 30_000, interval: 100 }

test('samples in Chromium', { ...needs('chromium', 'time'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, place: string, options: PageOptions = {}) => {
    const opened = await openPage(t, browser, { cookies, ...options })
    opened.page.setDefaultTimeout(30_000)
    await opened.page.goto(hub.hub.urls.browser + place)
    await opened.page.getByRole('heading', { level: 1 }).first().waitFor()
    return opened
  }
  const widthOf = async (page: Page) =>
    Number(await page.evaluate('document.documentElement.scrollWidth'))
  const ok = async (method: string, path: string, body?: object) => {
    const reply = await hub.api(method, path, body)
    assert.ok(reply.ok, `${method} ${path}: ${await reply.clone().text()}`)
    return reply
  }
  const gate = await hub.enrol('gate')
  const cards = (page: Page) => page.getByRole('region', { name: 'Samples' }).getByRole('link')

  await t.test('a hub without samples says how they begin, and fills by itself', async (t) => {
    const { page, complaints } = await open(t, '/')
    await page.keyboard.press('g')
    await page.keyboard.press('s')
    await page.getByText('No box has sent a sample yet').waitFor()
    await page.getByText(/Keep frames to learn from/).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await sendSamples(gate, sent, { wished: 40, faces: true })
    await cards(page).nth(0).waitFor()
    assert.deepEqual(complaints, [])
  })

  const redact = { labels: ['person'] }
  const stream = { streamId: 'belt', source: 'demo:1', model: 'parts', sampling: {}, redact }
  await ok('POST', '/api/devices/gate/streams', stream)
  const list = (await (await ok('GET', '/api/field-samples')).json()) as FieldSamplePage
  const [newest] = list.samples
  assert.ok(newest)

  await t.test('filters are in the address, and detections are drawn on demand', async (t) => {
    const { page, complaints } = await open(t, '/samples')
    await t.waitFor(async () => assert.equal(await cards(page).count(), sent), patient)
    assert.equal(await page.locator('a svg rect').count(), 0)
    await page.getByRole('switch', { name: 'What the box found' }).click()
    await page.waitForURL(/found=true/)
    await page.locator('a svg rect').first().waitFor()
    await page.getByRole('combobox', { name: 'Reason' }).selectOption('random')
    await page.waitForURL(/reason=random/)
    const random = list.samples.filter(({ reason }) => reason === 'random').length
    await t.waitFor(async () => assert.equal(await cards(page).count(), random), patient)
    await page.goto(`${hub.hub.urls.browser}/samples?model=other`)
    await page.getByText('No sample fits').waitFor()
    await page.goto(`${hub.hub.urls.browser}/samples?to=2020-01-01`)
    await page.getByText('No sample fits').waitFor()
    await page.getByRole('button', { name: 'Show all samples' }).click()
    await t.waitFor(async () => assert.equal(await cards(page).count(), sent), patient)
    assert.deepEqual(await complaintsOfAxe(page), [])
    assert.deepEqual(complaints, [])
  })

  await t.test(
    'a sample says why it is there, what was hidden, and where it is used',
    async (t) => {
      const { digest, width, height } = newest
      const samples = [{ digest, name: 'one.jpg', width, height, annotations: [] }]
      await ok('POST', '/api/datasets', { name: 'parts', labels: ['gear', 'nut'] })
      await ok('PUT', '/api/datasets/parts/samples', { samples })
      await ok('PUT', '/api/label-queues/line', { dataset: 'parts', models: [] })
      await ok('POST', '/api/label-queues/line/tasks', { digests: [digest] })
      const { page, complaints } = await open(t, '/samples')
      await cards(page).first().click()
      const panel = page.getByRole('region', { name: 'Sample', exact: true })
      await panel.getByText(newest.why).waitFor()
      await panel.getByText('1 region pixelated; looked for face, person').waitFor()
      await panel.getByText('Signed by the device').waitFor()
      await panel.getByText('parts/3').waitFor()
      assert.equal(await panel.locator('svg rect').count(), newest.detections.length * 2)
      await panel.getByRole('switch', { name: 'What the box found' }).click()
      await t.waitFor(async () => assert.equal(await panel.locator('svg rect').count(), 0), patient)
      assert.deepEqual(await complaintsOfAxe(page), [])
      for (const [link, place] of [
        ['gate/belt', '/devices/gate/streams/belt'],
        ['Queue line', '/label/line/work?task='],
        ['Dataset parts', `/datasets/parts?sample=${digest}`],
      ] as const) {
        const href = await panel.getByRole('link', { name: link }).getAttribute('href')
        assert.ok(href?.startsWith(place), `${link} leads to ${href}`)
      }
      await page.keyboard.press('j')
      await page.waitForURL(new RegExp(`sample=${list.samples[1]?.sampleId}`))
      await page.keyboard.press('Escape')
      await cards(page).first().waitFor()
      assert.deepEqual(complaints, [])
    },
  )

  await t.test('an admin sets the budget, whose share and use stand beside it', async (t) => {
    const { page } = await open(t, '/samples')
    const budget = page.getByRole('region', { name: 'Budget' })
    await budget.getByText(`${sent} of`).first().waitFor()
    await budget.getByText(/would keep 40 a day/).waitFor()
    await budget.getByRole('button', { name: 'Set the budget' }).click()
    const form = page.getByRole('dialog')
    await form.getByRole('textbox', { name: 'Frames' }).fill('20')
    await form.getByRole('textbox', { name: 'Megabytes' }).fill('5')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await form.getByRole('button', { name: 'Set the budget' }).click()
    await budget.getByText(`${sent} of 20 frames`).first().waitFor()
    const shown = (await (await ok('GET', '/api/sample-budget')).json()) as SampleBudgetShown
    assert.deepEqual([shown.framesPerDay, shown.bytesPerDay], [20, 5_000_000])
  })

  await t.test('a box is asked for frames, and one that is away cannot be', async (t) => {
    const { page } = await open(t, '/samples?device=gate&stream=belt')
    await page.getByRole('button', { name: 'Ask for frames' }).click()
    const form = page.getByRole('dialog')
    await form.getByRole('textbox', { name: 'How many' }).fill('3')
    await form.getByRole('textbox', { name: 'What for' }).fill('new pallets')
    await form.getByRole('button', { name: 'Ask' }).click()
    await form
      .getByRole('alert')
      .getByText(/"gate" is not connected/)
      .waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    const client = await gate.connect()
    const heard: { frames: number; why: string }[] = []
    client.on('message', (topic, payload) => {
      if (topic === topicFor('sampleRequest', gate)) heard.push(JSON.parse(payload.toString()))
    })
    await client.subscribeAsync(topicFor('sampleRequest', gate), { qos: 1 })
    const status = { state: 'online', at: new Date().toISOString(), bootId: randomUUID() }
    await client.publishAsync(topicFor('status', gate), JSON.stringify(status), {
      qos: 1,
      retain: true,
    })
    await t.waitFor(async () => {
      if (heard.length === 0) await form.getByRole('button', { name: 'Ask' }).click()
      await page.getByText('gate is asked for 3 frames').waitFor({ timeout: 3000 })
      assert.equal(heard[0]?.frames, 3)
    }, patient)
    assert.match(heard[0]?.why ?? '', /new pallets/)
  })

  await t.test(
    'sampling and privacy of a stream are set by its form, and the rest stays',
    async (t) => {
      const sampling = { reasons: ['rare'], rareLabels: ['washer'] }
      const hall = { streamId: 'hall', source: 'demo:2', model: 'parts' }
      await ok('POST', '/api/devices/gate/streams', { ...hall, sampling })
      const { page } = await open(t, '/devices/gate/streams/hall')
      await page.getByRole('checkbox', { name: 'Keep frames to learn from' }).waitFor()
      await page.getByRole('textbox', { name: 'Frames a day' }).fill('80')
      await page.getByRole('textbox', { name: 'MB a day' }).fill('2.5')
      const hide = page.getByRole('textbox', { name: 'Make unreadable' })
      await hide.fill('face, person')
      await hide.press('Enter')
      await page.getByRole('combobox', { name: 'How' }).selectOption('fill')
      await page.getByRole('link', { name: 'What it sent' }).waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('button', { name: /^Save version/ }).click()
      await page.getByText(/^Saved as version/).waitFor()
      const detail = (await (await ok('GET', '/api/devices/gate')).json()) as DeviceDetail
      const stored = detail.desired?.config.streams.find(({ streamId }) => streamId === 'hall')
      assert.deepEqual(stored, {
        ...hall,
        sampling: { ...sampling, framesPerDay: 80, bytesPerDay: 2_500_000 },
        redact: { labels: ['face', 'person'], method: 'fill' },
      })
    },
  )

  for (const scheme of ['light', 'dark'] as const) {
    await t.test(`on a phone, ${scheme}, nothing is wider than the screen`, async (t) => {
      const { page } = await open(t, '/samples', { width: 360, height: 800, scheme })
      await cards(page).first().waitFor()
      assert.ok((await widthOf(page)) <= 360, 'the grid')
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.goto(`${hub.hub.urls.browser}/samples?sample=${newest.sampleId}`)
      await page.getByText(newest.why).waitFor()
      assert.ok((await widthOf(page)) <= 360, 'one sample')
      assert.deepEqual(await complaintsOfAxe(page), [])
    })
  }

  await t.test('a viewer sees them and may neither ask nor set', async (t) => {
    const context = await contextOf(hub, browser, 'vera', 'viewer')
    t.after(() => context.close())
    const page = await context.newPage()
    await page.goto(`${hub.hub.urls.browser}/samples?device=gate&stream=belt`)
    await cards(page).first().waitFor()
    for (const name of ['Ask for frames', 'Set the budget']) {
      assert.equal(await page.getByRole('button', { name }).isDisabled(), true, name)
    }
  })
})
