/** Models in a real Chromium: a dropped file becomes a version, a compilation runs, its result is compared. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { addSnapshots, demoModel, demoModelFile, uploadTo } from '../hub/demo-model.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard } from './fleet.ts'

const waitMs = 60_000

test('models in Chromium', { ...needs('chromium'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  await addSnapshots(hub, await hub.enrol('gate'), 16)
  const { page, complaints } = await openPage(t, browser)
  await page.goto(await hub.hub.signInLink())

  await t.test('a file is dropped, refused for what it is not, and kept when it fits', async () => {
    await page.getByRole('link', { name: 'Models' }).click()
    await page.getByText('No models yet').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    const content = (await readFile(demoModelFile)).toString('base64')
    const dropped = await page.evaluateHandle(`(() => {
      const files = new DataTransfer()
      const bytes = Uint8Array.from(atob('${content}'), (one) => one.charCodeAt(0))
      files.items.add(new File([bytes], 'Parts (demo).onnx'))
      return files
    })()`)
    await page.getByText('Drop an ONNX file here').dispatchEvent('drop', { dataTransfer: dropped })
    const dialog = page.getByRole('dialog')
    assert.equal(await dialog.getByLabel('Name', { exact: true }).inputValue(), 'parts_demo')
    await dialog.getByLabel('Layout').selectOption('nanodet')
    const add = dialog.getByRole('button', { name: 'Add the model' })
    await add.click()
    await dialog.getByRole('alert').getByText('with layout nanodet').waitFor({ timeout: waitMs })
    await dialog.getByLabel('Layout').selectOption('yolox')
    await dialog.getByText('Where it differs from its layout').click()
    await dialog.getByLabel('Description file').fill(demoModel.description)
    assert.deepEqual(await complaintsOfAxe(page), [])
    await add.click()
    await page.getByRole('heading', { name: 'parts_demo 1' }).waitFor({ timeout: waitMs })
    await page.getByText('6 labels: bolt').waitFor()
  })

  await t.test('it is compiled, and the result is compared on the page', async () => {
    await page.getByLabel('Precision').selectOption('fp32')
    await page.getByRole('button', { name: 'Compile' }).click()
    // At its begin a bar has no width, and is seen by nobody.
    await page
      .getByRole('progressbar', { name: 'Compilation' })
      .waitFor({ state: 'attached', timeout: waitMs })
    await page.getByRole('heading', { name: /: fp32$/ }).waitFor({ timeout: waitMs })
    const table = page.getByRole('region', { name: /^Candidates for / })
    assert.equal(await table.getByRole('row').count(), 3)
    await page.getByRole('img', { name: /^Accuracy against speed\./ }).waitFor()
    await page.getByRole('button', { name: 'Show the report' }).click()
    const report = page.frameLocator('iframe')
    await report.getByRole('heading', { level: 1 }).getByText('parts_demo').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.setViewportSize({ width: 390, height: 844 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    assert.ok(width <= 390, `${width} pixels wide on a phone`)
  })

  await t.test('an admin removes it; a viewer only looks', async (t) => {
    await page.setViewportSize({ width: 1440, height: 900 })
    const { cookie } = await hub.signIn('vera', 'viewer')
    const [name = '', value = ''] = cookie.split('=')
    const cookies = [
      { name, value, domain: 'localhost', path: '/', expires: -1, httpOnly: true },
    ].map((one) => ({ ...one, secure: false, sameSite: 'Strict' as const }))
    const { page: other } = await openPage(t, browser, { cookies })
    await other.goto(new URL('/models', hub.hub.urls.browser).href)
    assert.ok(await other.getByRole('button', { name: 'Add a model' }).isDisabled())
    await page.getByRole('button', { name: 'Remove…' }).click()
    await page.getByRole('button', { name: 'Remove 1 version' }).click()
    await page.getByText('No models yet').waitFor()
    await other.getByText('No models yet').waitFor()
  })

  await t.test(
    'it is published: each way to send it with its size, and on to a rollout',
    async () => {
      const uploadId = await uploadTo(hub, await readFile(demoModelFile))
      await hub.api('POST', '/api/models', { name: 'parts_demo', uploadId, ...demoModel, note: '' })
      await page.getByRole('link', { name: 'parts_demo' }).click({ timeout: waitMs })
      await page.getByText('Not published: no box can be offered it').waitFor()
      await page.getByRole('button', { name: 'Publish', exact: true }).click()
      const ways = page.getByRole('region', { name: 'Ways to send it' })
      await ways.getByText('whole, zstd').first().waitFor({ timeout: waitMs })
      await page.getByRole('button', { name: 'Publish again' }).waitFor()
      assert.ok(
        await page.getByRole('button', { name: 'Remove…' }).isDisabled(),
        'boxes may run it',
      )
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('link', { name: 'Roll it out…' }).click()
      await page.getByRole('heading', { level: 2, name: 'Boxes' }).waitFor()
      assert.match(page.url(), /name=parts_demo&version=1/)
      await page.goBack()
      await ways.waitFor()
    },
  )
  // A refusal that somebody provoked is told by the browser, too.
  const ours = complaints.filter((text) => !/status of 400/.test(text))
  assert.deepEqual(ours, [])
})
