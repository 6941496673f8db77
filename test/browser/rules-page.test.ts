/** Rules in a real Chromium: the first steps, a rule made with a trial of it, its deliveries, and who may what. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type DeliveryPage, type ReceiverRow, type RuleRow, topicFor } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'

test('rules in Chromium', { ...needs('chromium', 'time'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, place: string, options: PageOptions = {}) => {
    const opened = await openPage(t, browser, { cookies, ...options })
    await opened.page.goto(hub.hub.urls.browser + place)
    await opened.page.getByRole('heading', { level: 1 }).first().waitFor()
    return opened
  }
  let status = 204
  const server = createServer((request, reply) => {
    request.resume()
    reply.writeHead(status).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo

  const gate = await hub.enrol('gate')
  const client = await gate.connect()
  const bootId = randomUUID()
  let sequence = 0
  const sees = async (label: string) => {
    sequence++
    const at = new Date().toISOString()
    const entry = {
      sequence,
      kind: 'appeared',
      at,
      streamId: 'door',
      trackId: sequence,
      label,
      score: 0.9,
      box: [0.1, 0.1, 0.2, 0.2],
    }
    const payload = JSON.stringify({ bootId, acknowledgedThrough: 0, entries: [entry] })
    await client.publishAsync(topicFor('events', gate), payload, { qos: 1 })
  }

  await t.test('a hub without receivers says what comes first', async (t) => {
    const { page, complaints } = await open(t, '/')
    await page.keyboard.press('g')
    await page.keyboard.press('u')
    await page.getByRole('heading', { level: 1, name: 'Rules' }).waitFor()
    await page.getByText('No rules yet').waitFor()
    await page.getByText('Whom it tells is set up first, below.').waitFor()
    await page.getByText('Nobody can be told yet.').waitFor()
    assert.ok(await page.getByRole('button', { name: 'New rule' }).isDisabled())
    assert.deepEqual(await complaintsOfAxe(page), [])
    assert.deepEqual(complaints, [])
  })

  const receivers = async () =>
    (await (await hub.api('GET', '/api/receivers')).json()) as ReceiverRow[]
  const kept = async (name: string) => (await receivers()).find((one) => one.name === name)

  await t.test('a receiver is set up: its secret is shown once, a trial answers', async (t) => {
    const { page, complaints } = await open(t, '/rules')
    const dialog = page.getByRole('dialog')
    const list = page.getByRole('region', { name: 'List of receivers' })
    await page.getByRole('button', { name: 'New receiver' }).click()
    await dialog.getByLabel('Name').fill('guard')
    await dialog.getByLabel('URL').fill(`http://127.0.0.1:${port}/`)
    await dialog.getByText('everybody between can read what is sent').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Add the receiver' }).click()
    const secret = (await dialog.locator('pre').textContent()) ?? ''
    assert.match(secret, /^whsec_/)
    // A private address that nobody allowed is not connected to, and that is said.
    await dialog.getByRole('button', { name: 'Send a trial' }).click()
    await dialog.getByText(/Trial failed: .*127\.0\.0\.1/).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Done' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.ok(!(await page.content()).includes(secret))

    await list.getByRole('button', { name: 'Edit the receiver guard' }).click()
    assert.ok(await dialog.getByLabel('Name').isDisabled())
    await dialog.getByText('Private addresses, own certificates').click()
    await dialog.getByLabel('Private addresses it may be at').fill('127.0.0.1')
    await dialog.getByRole('button', { name: 'Save the receiver' }).click()
    await dialog.waitFor({ state: 'detached' })
    const url = `http://127.0.0.1:${port}/`
    assert.deepEqual((await kept('guard'))?.receiver, {
      kind: 'webhook',
      url,
      plainHttp: true,
      allow: ['127.0.0.1'],
    })
    await list.getByRole('button', { name: 'Send a trial to guard' }).click()
    await list.getByText('Trial taken: 204').waitFor()

    await list.getByRole('button', { name: 'Edit the receiver guard' }).click()
    await dialog.getByRole('button', { name: 'Make the next secret' }).click()
    await dialog.getByText(/The earlier one signs beside it until/).waitFor()
    assert.notEqual(await dialog.locator('pre').textContent(), secret)
    await dialog.getByRole('button', { name: 'Done' }).click()
    assert.deepEqual(complaints, [])
  })

  await t.test(
    'mail and a topic are receivers, too; one is removed after a question',
    async (t) => {
      const { page } = await open(t, '/rules')
      const dialog = page.getByRole('dialog')
      const list = page.getByRole('region', { name: 'List of receivers' })
      await page.getByRole('button', { name: 'New receiver' }).click()
      await dialog.getByLabel('Name').fill('night')
      await dialog.getByLabel('What it is').selectOption('mail')
      await dialog.getByLabel('To', { exact: true }).fill('a@example.com, b@example.com')
      await dialog.getByLabel('From').fill('hub@example.com')
      await dialog.getByLabel('Mail server').fill('smtp.example.com')
      await dialog.getByLabel('Security').selectOption('starttls')
      await dialog.getByLabel('User name').fill('hub')
      await dialog.getByLabel('Password', { exact: true }).fill('a password')
      assert.deepEqual(await complaintsOfAxe(page), [])
      await dialog.getByRole('button', { name: 'Add the receiver' }).click()
      await dialog.getByRole('button', { name: 'Done' }).click()
      await list.getByText('mail to a@example.com, b@example.com').waitFor()
      const night = await kept('night')
      assert.deepEqual(night?.receiver, {
        kind: 'mail',
        to: ['a@example.com', 'b@example.com'],
        from: 'hub@example.com',
        host: 'smtp.example.com',
        port: 587,
        security: 'starttls',
        username: 'hub',
      })
      assert.equal(night.hasPassword, true)

      await list.getByRole('button', { name: 'Edit the receiver night' }).click()
      await dialog.getByText('the one that is kept stays').waitFor()
      await dialog.getByLabel('Mail server').fill('smtp.example.org')
      await dialog.getByText('was given for the place before').waitFor()
      await dialog.getByRole('button', { name: 'Cancel' }).click()

      await page.getByRole('button', { name: 'New receiver' }).click()
      await dialog.getByLabel('Name').fill('home')
      await dialog.getByLabel('What it is').selectOption('mqtt')
      await dialog.getByLabel('Broker', { exact: true }).fill('https://broker.example.com')
      await dialog.getByLabel('Topic').fill('alerts/{device}')
      await dialog.getByRole('button', { name: 'Add the receiver' }).click()
      await dialog.getByRole('alert').getByText('mqtts://HOST:PORT').waitFor()
      await dialog.getByLabel('Broker', { exact: true }).fill('mqtts://broker.example.com:8883')
      await dialog.getByRole('button', { name: 'Add the receiver' }).click()
      await dialog.getByRole('button', { name: 'Done' }).click()
      for (const name of ['home', 'night']) {
        await list.getByRole('button', { name: `Remove the receiver ${name}` }).click()
        await dialog.getByRole('button', { name: 'Remove 1 receiver' }).click()
        await dialog.waitFor({ state: 'detached' })
      }
      assert.deepEqual(
        (await receivers()).map(({ name }) => name),
        ['guard'],
      )
    },
  )

  for (const label of ['person', 'person', 'dog']) await sees(label)

  await t.test('a rule is tried on the last day, and added', async (t) => {
    const { page, complaints } = await open(t, '/rules')
    await page.getByRole('button', { name: 'New rule' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('persons')
    await dialog.getByLabel('Labels').fill('person')
    await dialog.getByLabel('Silent for seconds').fill('0')
    await dialog.getByRole('button', { name: 'Try on the last day' }).click()
    await dialog
      .getByText('It would have fired 2 times in the last day: 2 of 3 events fit.')
      .waitFor()
    await dialog.getByLabel('guard').check()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Add the rule' }).click()
    const table = page.getByRole('region', { name: 'Rules' })
    await table.getByText('appeared of person').waitFor()
    const rules = (await (await hub.api('GET', '/api/rules')).json()) as RuleRow[]
    assert.deepEqual(rules[0]?.rule.when, { kinds: ['appeared'], labels: ['person'] })
    assert.deepEqual(complaints, [])
  })

  await t.test('deliveries come by themselves; what was given up is tried again', async (t) => {
    const { page, complaints } = await open(t, '/rules')
    const table = page.getByRole('region', { name: 'List of deliveries' })
    await sees('person')
    await table.getByText('taken').waitFor()
    status = 410
    await sees('person')
    await table.getByText('given up').waitFor()
    await table.getByText('Answered 410, gone').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByLabel('State', { exact: true }).selectOption('dead')
    await page.waitForURL(/state=dead/)
    await t.waitFor(async () => assert.equal(await table.getByRole('row').count(), 2), {
      timeout: 20_000,
    })
    status = 200
    await table.getByRole('button', { name: /^Try again: delivery/ }).click()
    await page.getByText('No delivery fits.').waitFor()
    await t.waitFor(
      async () => {
        const reply = await hub.api('GET', '/api/rule-deliveries')
        const { deliveries } = (await reply.json()) as DeliveryPage
        assert.ok(deliveries.every(({ state }) => state === 'done'))
      },
      { timeout: 20_000 },
    )
    status = 410
    await sees('person')
    await page.getByRole('link', { name: 'guard', exact: true }).click()
    await page.waitForURL(/receiver=guard/)
    await page
      .getByRole('button', { name: 'Try all 1 to guard again' })
      .waitFor({ timeout: 20_000 })
    status = 200
    await page.getByRole('button', { name: 'Try all 1 to guard again' }).click()
    await table.getByText('given up').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Remove the receiver guard' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'Remove 1 receiver' }).click()
    await dialog.getByRole('alert').getByText('the rule "persons" tells it').waitFor()
    assert.deepEqual(complaints.filter(isOurs), [])
  })

  await t.test('a rule is switched off, and removed after a question', async (t) => {
    const { page } = await open(t, '/rules')
    await page.getByRole('switch', { name: 'persons is on' }).click({ force: true })
    await t.waitFor(
      async () => {
        const rules = (await (await hub.api('GET', '/api/rules')).json()) as RuleRow[]
        assert.equal(rules[0]?.rule.enabled, false)
      },
      { timeout: 20_000 },
    )
    await page.getByRole('button', { name: 'Remove the rule persons' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Remove 1 rule' }).click()
    await page.getByText('No rules yet').waitFor()
  })

  await t.test('a viewer looks, and a phone has room for it', async (t) => {
    const rule = { when: { labels: ['person'] }, tell: ['guard'] }
    assert.equal((await hub.api('PUT', '/api/rules/dock', rule)).status, 200)
    const widthOf = async (page: Page) =>
      Number(await page.evaluate('document.documentElement.scrollWidth'))
    const { page } = await open(t, '/rules', { width: 360, height: 800, scheme: 'light' })
    await page.getByRole('region', { name: 'Rules' }).getByText('any event of person').waitFor()
    assert.ok((await widthOf(page)) <= 360)
    assert.deepEqual(await complaintsOfAxe(page), [])
    const { cookie } = await hub.signIn('vera', 'viewer')
    const [name = '', value = ''] = cookie.split('=')
    const session = [{ name, value, url: hub.hub.urls.browser }]
    const seen = await open(t, '/rules', { cookies: session as never })
    await seen.page.getByText('any event of person').waitFor()
    assert.ok(await seen.page.getByRole('button', { name: 'New rule' }).isDisabled())
    assert.ok(await seen.page.getByRole('switch').isDisabled())
    assert.equal(await seen.page.getByRole('heading', { name: 'Receivers' }).count(), 0)
    const operator = await hub.signIn('otto', 'operator')
    const [key = '', token = ''] = operator.cookie.split('=')
    const otto = [{ name: key, value: token, url: hub.hub.urls.browser }]
    const used = await open(t, '/rules', { cookies: otto as never })
    const why = 'Only an admin can set up receivers'
    for (const name of ['New receiver', 'Send a trial to guard', 'Edit the receiver guard']) {
      const button = used.page.getByRole('button', { name })
      await button.waitFor()
      assert.ok(await button.isDisabled(), name)
      assert.equal(await button.getAttribute('title'), why)
    }
  })
})

/** A refusal that the test provokes is written to the console by the browser itself. */
const isOurs = (complaint: string): boolean => !complaint.includes('409')
