/** Datasets in a real Chromium: an archive and a folder are dropped, samples looked at, and a version frozen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PackedPicture } from '@edgeloop/protocol'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { pictures, tarOf, vocOf } from '../hub/dataset-parts.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard } from './fleet.ts'

const waitMs = 60_000

async function drop(page: Page, name: string, bytes: Uint8Array): Promise<void> {
  const content = Buffer.from(bytes).toString('base64')
  const dropped = await page.evaluateHandle(`(() => {
    const files = new DataTransfer()
    const bytes = Uint8Array.from(atob('${content}'), (one) => one.charCodeAt(0))
    files.items.add(new File([bytes], '${name}'))
    return files
  })()`)
  await page
    .getByRole('main')
    .locator('[data-over]')
    .dispatchEvent('drop', { dataTransfer: dropped })
}

async function savedAgain(one: PackedPicture): Promise<PackedPicture> {
  return { ...one, bytes: await sharp(one.bytes).png({ compressionLevel: 0 }).toBuffer() }
}

test('datasets in Chromium', { ...needs('chromium', 'time'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const { page, complaints } = await openPage(t, browser)
  await page.goto(await hub.hub.signInLink())
  const sent = await pictures(39)
  // Saved again in another form: nearly the same.
  sent.push(await savedAgain(sent[8]!))
  const files = sent.flatMap((one, at) => [
    [`Parts (1)/${at}.png`, one.bytes] as const,
    [`Parts (1)/${at}.xml`, vocOf(one, [at % 4 ? 'bolt' : 'nut', 1, 1, 32, 24])] as const,
  ])

  await t.test('an archive that is dropped becomes a dataset', async () => {
    await page.getByRole('link', { name: 'Datasets' }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('t')
    await page.getByText('No datasets yet').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await drop(page, 'labels.txt', Buffer.from('nut'))
    await page.getByText('Cannot import "labels.txt"').waitFor()
    await drop(page, 'Parts (1).tar', await tarOf(files))
    const dialog = page.getByRole('dialog')
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'parts_1')
    await dialog.getByText('Parts (1).tar').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Add the dataset' }).click()
    await page.getByRole('heading', { name: 'parts_1', level: 1 }).waitFor()
    await page.getByRole('status').getByText('40 samples').waitFor({ timeout: waitMs })
  })

  await t.test('samples are filtered, opened large and walked through by keys', async () => {
    const grid = page.getByRole('region', { name: 'Samples' })
    await grid.getByRole('link').first().waitFor()
    assert.ok((await grid.locator('svg rect').count()) > 0, 'boxes are drawn')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByLabel('Label', { exact: true }).selectOption('nut')
    await page.getByRole('status').getByText('10 samples').waitFor()
    assert.match(page.url(), /label=nut/)
    await grid.getByRole('link').first().click()
    await page.getByRole('img', { name: '0.png: nut' }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.keyboard.press('j')
    await page.getByRole('img', { name: /: nut$/ }).waitFor()
    await page
      .getByRole('heading', { name: 'Parts (1)/12.png' })
      .or(page.getByRole('heading', { name: '12.png' }))
      .waitFor()
    await page.keyboard.press('k')
    await page.getByRole('img', { name: '0.png: nut' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('status').getByText('10 samples').waitFor()
  })

  await t.test('labels are counted, and lead to their samples', async () => {
    await page.getByRole('link', { name: 'Labels', exact: true }).click()
    const table = page.getByRole('region', { name: 'Labels' })
    await table.getByRole('row', { name: /^bolt 30/ }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await table.getByRole('link', { name: 'bolt' }).click()
    await page.getByRole('status').getByText('30 samples').waitFor()
  })

  await t.test('what is nearly the same is shown in groups', async () => {
    await page.getByRole('link', { name: 'Problems', exact: true }).click()
    await page.getByRole('heading', { name: /^Nearly the same: \d+ group/ }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page
      .getByRole('link', { name: /^Sample / })
      .first()
      .click()
    await page.getByRole('img', { name: /\.png: / }).waitFor()
    await page.keyboard.press('Escape')
    assert.match(page.url(), /problem=near-copy/)
  })

  await t.test('an augmentation is tried on pictures before a run', async () => {
    await page.getByRole('link', { name: 'Augmentation', exact: true }).click()
    const list = page.getByRole('list', { name: 'Pictures as a run would see them' })
    await list.getByRole('listitem').first().waitFor({ timeout: waitMs })
    assert.equal(await list.getByRole('listitem').count(), 8)
    await list.locator('svg rect').first().waitFor({ state: 'attached' })
    const first = async () => await list.locator('image').first().getAttribute('href')
    const before = await first()
    await page.getByLabel('Augmentation', { exact: true }).fill('flop=1')
    await page.getByRole('button', { name: 'Show', exact: true }).click()
    await page.getByText(/there is no augment\.flop/).waitFor({ timeout: waitMs })
    await page.getByLabel('Augmentation', { exact: true }).fill('flip=1')
    await page.getByRole('button', { name: 'Another draw' }).click()
    assert.match(page.url(), /seed=2/)
    await t.waitFor(async () => assert.notEqual(await first(), before), { timeout: waitMs })
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.setViewportSize({ width: 390, height: 844 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    assert.ok(width <= 390, `${width} pixels wide on a phone`)
    await page.setViewportSize({ width: 1440, height: 900 })
  })

  await t.test('a version is frozen, and its test set shown', async () => {
    await page.getByRole('link', { name: 'Versions', exact: true }).click()
    await page.getByText('Nothing was frozen yet').waitFor()
    await page.getByRole('button', { name: 'Freeze…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Test, %').fill('25')
    await dialog.getByLabel('Note').fill('week 46')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Freeze', exact: true }).click()
    const table = page.getByRole('region', { name: 'Frozen versions' })
    await table.getByRole('row', { name: /^1 40 .*30 0 10 .*week 46/ }).waitFor({ timeout: waitMs })
    assert.deepEqual(await complaintsOfAxe(page), [])
    await table.getByRole('button', { name: 'Download' }).click()
    const downloading = page.waitForEvent('download', { timeout: waitMs })
    await page.getByRole('menuitem', { name: 'Pascal VOC' }).click()
    assert.equal((await downloading).suggestedFilename(), 'parts_1-1-voc.tar')
    await table.getByRole('link', { name: '10', exact: true }).click()
    await page.getByRole('status').getByText('10 samples').waitFor()
    assert.match(page.url(), /version=1&split=test/)
    await page.setViewportSize({ width: 390, height: 844 })
    const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
    assert.ok(width <= 390, `${width} pixels wide on a phone`)
    await page.setViewportSize({ width: 1440, height: 900 })
  })

  await t.test('a viewer only looks; an admin removes it', async (t) => {
    const { cookie } = await hub.signIn('vera', 'viewer')
    const [name = '', value = ''] = cookie.split('=')
    const cookies = [
      { name, value, domain: 'localhost', path: '/', expires: -1, httpOnly: true },
    ].map((one) => ({ ...one, secure: false, sameSite: 'Strict' as const }))
    const { page: other } = await openPage(t, browser, { cookies })
    await other.goto(new URL('/datasets/parts_1', hub.hub.urls.browser).href)
    assert.ok(await other.getByRole('button', { name: 'Freeze…' }).isDisabled())
    assert.ok(await other.getByRole('button', { name: 'Import…' }).isDisabled())
    assert.equal(await other.getByRole('button', { name: 'Remove…' }).count(), 0)
    await page.getByRole('button', { name: 'Remove…' }).click()
    await page.getByText('40 samples and 1 frozen version').waitFor()
    await page.getByRole('button', { name: 'Remove 1 dataset' }).click()
    await page.getByText('No datasets yet').waitFor()
  })
  // A refusal that somebody provoked is told by the browser, too.
  const ours = complaints.filter((text) => !/status of 400/.test(text))
  assert.deepEqual(ours, [])
})
