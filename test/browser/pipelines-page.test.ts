/** Pipelines in a real Chromium: the list, one with its rounds, what a dry run says, and the form. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { PipelineRow } from '@edgeloop/protocol'
import { cornerLabels } from '../hub/corners.ts'
import { seedPipeline } from '../hub/seeded-pipelines.ts'
import { seedVersions } from '../hub/seeded-runs.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'

test('pipelines in Chromium', { ...needs('chromium', 'time'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const cookies = await signIn(hub, browser)
  const open = async (t: TestContext, place: string, options: PageOptions = {}) => {
    const opened = await openPage(t, browser, { cookies, ...options })
    await opened.page.goto(hub.hub.urls.browser + place)
    await opened.page.getByRole('heading', { level: 1 }).first().waitFor()
    return opened
  }

  await t.test(
    'a hub without pipelines says what comes first, and one is set by the form',
    async (t) => {
      const added = await hub.api('POST', '/api/datasets', {
        name: 'set',
        labels: [...cornerLabels],
      })
      assert.ok(added.ok)
      const { page, complaints } = await open(t, '/pipelines')
      await page.getByText('No pipelines yet').waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('button', { name: 'New pipeline' }).click()
      await page.getByRole('combobox', { name: 'Model', exact: true }).fill('gate')
      await page.getByRole('textbox', { name: 'At so many new annotations' }).fill('50')
      await page.getByRole('combobox', { name: /^From/ }).fill('new:mnist-cn')
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('button', { name: 'Set the pipeline' }).click()
      // What the hub refuses stays beside the form.
      await page
        .getByRole('alert')
        .getByText(/mnist-cnn/)
        .waitFor()
      await page.getByRole('combobox', { name: /^From/ }).fill('new:mnist-cnn')
      await page.getByRole('button', { name: 'Set the pipeline' }).click()
      await page.getByRole('status').getByText('Waits: 0 of 50 new annotations').waitFor()
      const row = (await (await hub.api('GET', '/api/pipelines/gate')).json()) as PipelineRow
      assert.deepEqual([row.config.dataset, row.config.train.from], ['set', 'new:mnist-cnn'])
      assert.deepEqual(
        complaints.filter((one) => !/400/.test(one)),
        [],
      )
    },
  )

  await seedVersions(hub, 'parts', 5)
  await seedPipeline(hub, 'parts', 'set')

  await t.test('a pipeline shows every step, who gets the version, and its rounds', async (t) => {
    const { page, complaints } = await open(t, '/pipelines')
    await page.getByRole('link', { name: 'parts' }).click()
    const steps = page.getByRole('list', { name: 'Steps of round 5' })
    await steps.getByText(/Waits for approval before version 5/).waitFor()
    assert.equal(await steps.getByRole('listitem').count(), 6)
    const sites = page.getByRole('region', { name: 'Sites and streams' })
    await sites.getByRole('row', { name: /quay/ }).getByText('no: keeps what it has').waitFor()
    await page.getByRole('img', { name: 'ap50 over 5 rounds, from 0.740 to 0.912' }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])

    await page.getByRole('button', { name: 'Dry run' }).click()
    const dialog = page.getByRole('dialog', { name: 'What would happen now' })
    await dialog.getByText(/^Round 5 is open/).waitFor()
    await dialog.getByText('No device runs "parts"').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.keyboard.press('Escape')

    await page
      .getByRole('region', { name: 'Rounds' })
      .getByRole('link', { name: '4', exact: true })
      .click()
    await page.getByRole('heading', { name: 'Round 4' }).waitFor()
    assert.match(page.url(), /round=4/)
    assert.deepEqual(complaints, [])

    // The yes is given, and what follows is the hub's: nobody has this model.
    await page.getByRole('button', { name: 'Approve' }).click()
    await page
      .getByText(/Version 5 is published/)
      .first()
      .waitFor()
  })

  await t.test(
    'who only looks is told why nothing can be done; a phone shows all of it',
    async (t) => {
      const viewer = await hub.signIn('vera', 'viewer')
      const [name = '', value = ''] = viewer.cookie.split('=')
      const vera = [
        { name, value, domain: 'localhost', path: '/', expires: -1, httpOnly: true },
      ].map((one) => ({ ...one, secure: false, sameSite: 'Strict' as const }))
      const { page } = await open(t, '/pipelines/parts', { cookies: vera })
      const start = page.getByRole('button', { name: 'Start a round' })
      assert.equal(await start.getAttribute('title'), 'Only an operator can change pipelines')
      assert.equal(await start.isDisabled(), true)
      for (const scheme of ['light', 'dark'] as const) {
        const phone = await open(t, '/pipelines', { width: 360, height: 740, scheme })
        for (const where of ['/pipelines', '/pipelines/parts', '/pipelines/new?model=parts']) {
          await phone.page.goto(hub.hub.urls.browser + where)
          await phone.page.getByRole('heading', { level: 1 }).first().waitFor()
          await phone.page.waitForTimeout(500)
          const width = await phone.page.evaluate('document.documentElement.scrollWidth')
          assert.ok(Number(width) <= 360, `${where} is ${width} wide`)
          assert.deepEqual(await complaintsOfAxe(phone.page), [], where)
        }
      }
    },
  )
})
