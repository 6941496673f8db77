/** The name and the site of a device, changed on its page: at once in every list, and whatever the name holds. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { hostileName, openFleet } from './fleet.ts'

test('a device gets another name and another site', needs('chromium'), async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t, 'Gate 1'), openBrowser(t)])
  const open = async (t: TestContext, place: string) => {
    const opened = await openPage(t, browser, { cookies: await fleet.cookies(browser) })
    await opened.page.goto(fleet.hub.hub.urls.browser + place)
    await opened.page.locator('h1').first().waitFor()
    return opened
  }

  await t.test('in the page, and in the list that somebody else looks at', async (t) => {
    const list = await open(t, '/devices')
    await list.page.getByRole('link', { name: 'Gate 1' }).waitFor()
    const { page, complaints } = await open(t, '/devices/gate-1')
    await page.getByRole('button', { name: 'Edit name and site' }).click()
    const dialog = page.getByRole('dialog')
    const save = dialog.getByRole('button', { name: 'Save' })
    assert.ok(await save.isDisabled(), 'nothing is changed yet')
    await dialog.getByLabel('Site').fill('Not a site')
    await dialog.getByText('Only lower case letters').waitFor()
    await dialog.getByLabel('Site').fill('harbour')
    await dialog.getByLabel('Name').fill(hostileName)
    const tags = dialog.getByRole('combobox', { name: 'Tags' })
    await tags.fill('Front Door')
    await tags.press('Enter')
    await dialog.getByText('is no tag').waitFor()
    await tags.press('Backspace')
    await tags.fill('pilot')
    await tags.press('Enter')
    assert.deepEqual(await complaintsOfAxe(page), [])
    await save.click()
    await dialog.waitFor({ state: 'detached' })
    await page.getByRole('heading', { level: 1 }).getByText('<img src=x').waitFor()
    await page.getByText('Site harbour (its certificate and topics: main)').waitFor()
    await page.getByText('Tags pilot').waitFor()
    await list.page.getByText('<img src=x onerror=alert(1)>').first().waitFor()
    await list.page.getByLabel('Site').selectOption('harbour')
    await list.page.getByText('1 of 4 devices').waitFor()
    assert.deepEqual([...complaints, ...list.complaints], [])
  })

  await t.test('who may not is told who can', async (t) => {
    const { page } = await openPage(t, browser, { cookies: await fleet.cookies(browser) })
    await page.route('**/api/session', async (route) => {
      const reply = await route.fetch()
      await route.fulfill({ response: reply, json: { ...(await reply.json()), role: 'viewer' } })
    })
    await page.goto(`${fleet.hub.hub.urls.browser}/devices/line-4`)
    const button = page.getByRole('button', { name: 'Edit name and site' })
    await button.waitFor()
    assert.ok(await button.isDisabled())
    assert.equal(await button.getAttribute('title'), 'Only an operator or admin can edit devices')
  })
})
