/** Runs in a real Chromium: asked for in a dialog, watched while they learn, compared, and what they become. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addCorners } from '../hub/corners.ts'
import { seedCurves, seedRun, seedSearch, seedVersions } from '../hub/seeded-runs.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard } from './fleet.ts'

const waitMs = 90_000

test('a run in Chromium, from its dialog to its report', {
  ...needs('chromium', 'time'),
  timeout: 300_000,
}, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const { page, complaints } = await openPage(t, browser)
  await page.goto(await hub.hub.signInLink())

  await t.test('nothing is there yet, and the page says what a run needs', async () => {
    await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('r')
    await page.getByText('No runs yet').waitFor()
    await page.getByRole('button', { name: 'Train' }).click()
    await page.getByText('A run needs a frozen version of a dataset').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.keyboard.press('Escape')
  })

  await t.test('a run is asked for, refused for what it cannot do, and watched', async () => {
    await addCorners(hub)
    await page.reload()
    await page.getByRole('button', { name: 'Train' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('From').fill('new:mnist-cn')
    await dialog.getByLabel('Becomes a version of').fill('corners')
    const recipe = dialog.getByLabel('Recipe')
    await recipe.fill('epochs')
    await dialog.getByText('“epochs” is no setting').waitFor()
    assert.ok(await dialog.getByRole('button', { name: 'Train' }).isDisabled())
    await recipe.fill('steps=400\nbatch=16\nthreads=1\nworkers=1\nevaluateEvery=100')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Train' }).click()
    await dialog.getByRole('alert').getByText('mnist-cnn').waitFor()
    await dialog.getByLabel('From').fill('new:mnist-cnn')
    await dialog.getByLabel('Note').fill('first')
    await dialog.getByRole('button', { name: 'Train' }).click()
    await page.getByRole('heading', { level: 1, name: 'corners on corners' }).waitFor()
    await page.getByRole('progressbar', { name: 'Steps' }).waitFor({ timeout: waitMs })
    await page.getByText(/^step [\d,]+ of 400/).waitFor({ timeout: waitMs })
    await page.getByRole('figure').filter({ hasText: 'Loss' }).first().waitFor({ timeout: waitMs })
    assert.deepEqual(await complaintsOfAxe(page), [])
  })

  await t.test('it is paused and goes on; what it becomes is shown with its report', async () => {
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('button', { name: 'Resume' }).click({ timeout: waitMs })
    await page.getByText('Ended', { exact: true }).waitFor({ timeout: waitMs })
    await page.getByRole('link', { name: 'corners/1' }).waitFor()
    await page.getByText('champion', { exact: true }).first().waitFor()
    await page.getByRole('region', { name: 'Evaluations' }).getByText('Test').waitFor()
    await page.frameLocator('iframe').getByRole('heading', { level: 1 }).waitFor()
    await page.getByText('Resumed 1×').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.setViewportSize({ width: 390, height: 844 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    assert.ok(width <= 390, `${width} pixels wide on a phone`)
    await page.setViewportSize({ width: 1440, height: 900 })
  })

  // A refusal that somebody provoked is told by the browser, too.
  const ours = complaints.filter((text) => !/status of 400/.test(text))
  assert.deepEqual(ours, [])
})

test('a search in Chromium: all trials in a plot and a table, and its end', {
  timeout: 240_000,
  ...needs('chromium', 'time'),
}, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const { page, complaints } = await openPage(t, browser)
  const rates = [0.0001, 0.01, 1, 100]
  await seedSearch(
    hub,
    'cancelled',
    rates.map((rate, at) => ({
      trial: `${at + 1}-1`,
      settings: { 'optimizer.learningRate': rate, batch: at % 2 === 0 ? 32 : 64 },
      ...(at < 3 && { accuracy: [0.5, 0.9, 0.7][at] ?? 0 }),
    })),
    { metric: 'accuracy', better: 'more', best_trial: '2-1', best_value: 0.9 },
  )
  await page.goto(await hub.hub.signInLink())
  await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('r')
  const list = page.getByRole('region', { name: 'Searches' }).first()
  await list.getByText('accuracy 0.9').waitFor()
  await list.getByRole('link').click()
  await page.getByRole('heading', { level: 1, name: 'Search for digits on digits' }).waitFor()
  const plot = page.getByRole('img', { name: /^3 trials over/ })
  await plot.waitFor()
  assert.match((await plot.getAttribute('aria-label')) ?? '', /The best is 2-1: .*accuracy 0\.9/)
  assert.equal(await plot.locator('polyline').count(), 3, 'one that failed has no line')
  assert.equal(await plot.locator('polyline[data-best="true"]').count(), 1)
  const rows = page.getByRole('region', { name: 'Trials' }).locator('tbody tr')
  assert.match((await rows.first().textContent()) ?? '', /2-1.*best.*64.*0\.01.*0\.9/)
  assert.match((await rows.last().textContent()) ?? '', /4-1.*NaN in step 3/)
  assert.deepEqual(await complaintsOfAxe(page), [])
  await page.setViewportSize({ width: 390, height: 844 })
  const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
  assert.ok(width <= 390, `${width} pixels wide on a phone`)
  await page.getByRole('button', { name: 'Remove…' }).click()
  await page.getByRole('button', { name: 'Remove 1 search' }).click()
  await page.getByText('No runs yet').waitFor()
  assert.deepEqual(complaints, [])
})

test('runs that are over, in Chromium', {
  timeout: 240_000,
  ...needs('chromium', 'time'),
}, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const { page, complaints } = await openPage(t, browser)
  await page.goto(await hub.hub.signInLink())

  await t.test('two runs are compared by what differs', async () => {
    const ids: string[] = []
    for (const batch of [8, 16]) {
      const steps = 100 * batch
      const recipe = JSON.stringify({ batch, optimizer: { name: 'sgd' } })
      const runId = await seedRun(hub, 'ended', { step: steps, steps, recipe, model: 'corners' })
      await seedCurves(hub, runId, steps)
      ids.push(runId)
    }
    await page.getByRole('link', { name: 'Runs' }).click()
    for (const id of ids) {
      await page.getByRole('button', { name: `Curves of corners ${id.slice(0, 8)}` }).click()
    }
    const charts = page.getByRole('region', { name: 'Curves of the chosen runs' })
    await charts.getByRole('figure').filter({ hasText: 'Loss' }).waitFor()
    await charts.getByText(/the least and the greatest of 1,600 points/).waitFor()
    assert.equal(await charts.getByRole('figure').count(), 3)
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByRole('button', { name: 'Compare 2 runs' }).click()
    await page.getByRole('row').filter({ hasText: 'batch' }).first().waitFor()
    assert.equal(await page.getByRole('row').filter({ hasText: 'optimizer.name' }).count(), 0)
    await page.getByLabel('Differences only').click()
    await page.getByRole('row').filter({ hasText: 'optimizer.name' }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.goto(new URL(`/runs/${ids[0]}?first=300&last=500`, hub.hub.urls.browser).href)
    await page.getByText('201 points').waitFor()
    await page.getByRole('button', { name: 'All steps' }).click()
    await page.getByText('800 points').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.setViewportSize({ width: 390, height: 844 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    assert.ok(width <= 390, `${width} pixels wide on a phone`)
    await page.setViewportSize({ width: 1440, height: 900 })
  })

  await t.test('a schedule is set, and says when it is due', async () => {
    await hub.api('POST', '/api/datasets', { name: 'corners', labels: ['a'] })
    await seedVersions(hub, 'corners', 2)
    await page.reload()
    await page.getByRole('link', { name: 'Runs' }).first().click()
    await page.getByRole('button', { name: 'Add a schedule' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('weekly')
    await dialog.getByLabel('From').fill('corners')
    await dialog.getByLabel('Minute, hour').fill('every monday')
    await dialog.getByRole('button', { name: 'Add the schedule' }).click()
    await dialog.getByRole('alert').getByText('Cannot use "every monday"').waitFor()
    await dialog.getByLabel('Minute, hour').fill('17 3 * * 1')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Add the schedule' }).click()
    const row = page.getByRole('row').filter({ hasText: 'weekly' })
    await row.getByText(/^Mon, \d+ /).waitFor()
    await row.getByRole('switch').click({ force: true })
    await row.getByText('switched off').waitFor()
  })

  await t.test('versions, champion and lineage are on the page of the model', async () => {
    await page.getByRole('link', { name: 'Models' }).click()
    await page.getByRole('link', { name: 'corners', exact: true }).click()
    const versions = page.getByRole('region', { name: 'Versions' })
    await versions.getByRole('row').nth(2).waitFor()
    const champion = versions.getByRole('row').filter({ hasText: 'champion' }).first()
    await champion.getByRole('link').click()
    await page.getByRole('button', { name: 'Demote' }).click()
    await page.getByRole('button', { name: 'Promote to champion' }).waitFor()
    const [, name = '', version = ''] = /models\/([^/]+)\/(\d+)$/.exec(page.url()) ?? []
    const result = { version: Number(version), champion: true, why: 'not worse' }
    const runId = await seedRun(hub, 'ended', { model: name, result: JSON.stringify(result) })
    await page.goto(new URL(`/runs/${runId}`, hub.hub.urls.browser).href)
    await page.getByText('was champion', { exact: true }).waitFor()
    await page.goBack()
    await page.getByRole('button', { name: 'Promote to champion' }).click()
    await page.getByText('promoted by owner').first().waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
  })

  await t.test('a run that failed, one that is silent and a viewer have their pages', async () => {
    const failed = await seedRun(hub, 'failed', {
      error: 'Cannot go on: the loss is no number in step 12',
      log: JSON.stringify([{ at: new Date().toISOString(), level: 'error', text: 'NaN' }]),
    })
    await seedRun(hub, 'paused', { step: 3, steps: 10, model: 'silent' })
    const { cookie } = await hub.signIn('vera', 'viewer')
    const [name = '', value = ''] = cookie.split('=')
    const cookies = [
      { name, value, domain: 'localhost', path: '/', expires: -1, httpOnly: true },
    ].map((one) => ({ ...one, secure: false, sameSite: 'Strict' as const }))
    const { page: other } = await openPage(t, browser, { cookies, scheme: 'light' })
    await other.goto(new URL('/runs', hub.hub.urls.browser).href)
    await other.getByRole('link', { name: /^silent/ }).waitFor()
    assert.ok(await other.getByRole('button', { name: 'Train' }).isDisabled())
    assert.equal(await other.getByRole('button', { name: 'Add a schedule' }).count(), 0)
    await other.goto(new URL(`/runs/${failed}`, hub.hub.urls.browser).href)
    await other.getByRole('alert').getByText('no number in step 12').waitFor()
    assert.ok(await other.getByRole('button', { name: 'Resume' }).isDisabled())
    assert.deepEqual(await complaintsOfAxe(other), [])
    await other.goto(
      new URL('/runs/00000000-0000-4000-8000-000000000000', hub.hub.urls.browser).href,
    )
    await other.getByText('Not here').waitFor()
  })

  // A refusal that somebody provoked is told by the browser, too.
  const ours = complaints.filter((text) => !/status of 400/.test(text))
  assert.deepEqual(ours, [])
})
