/** People in a real Chromium: how they come in. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OneTimeLink } from '@edgeloop/protocol'
import { testPassword } from '../hub/fixture.ts'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard } from './fleet.ts'

test('people in Chromium', { ...needs('chromium'), timeout: 240_000 }, async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const base = hub.hub.urls.browser

  await t.test('an invited user chooses a password, signs out and in again', async (t) => {
    const added = await hub.api('POST', '/api/users', { user: 'anna', role: 'viewer' })
    const { token } = (await added.json()) as OneTimeLink
    const { page, complaints } = await openPage(t, browser)
    await page.goto(`${base}/choose-password?user=anna#token=${token}`)
    await page.getByRole('heading', { name: 'Choose a password' }).waitFor()
    assert.ok(!page.url().includes(token), 'the token must leave the address bar')
    assert.deepEqual(await complaintsOfAxe(page), [])
    const submit = page.getByRole('button', { name: 'Set the password and sign in' })
    await page.getByLabel('New password').fill('short')
    await page.getByText('7 more').waitFor()
    await page.getByLabel('New password').fill(testPassword)
    await page.getByLabel('The same again').fill(`${testPassword}!`)
    await page.getByText('The two differ').waitFor()
    assert.ok(await submit.isDisabled())
    await page.getByLabel('The same again').fill(testPassword)
    await submit.click()
    await page.getByRole('heading', { name: 'Home' }).waitFor()

    await page.getByRole('button', { name: 'Account' }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.getByLabel('User', { exact: true }).fill('anna')
    await page.getByLabel('Password', { exact: true }).fill('not the password')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').getByText('user name or the password is wrong').waitFor()
    await page.getByLabel('Password', { exact: true }).fill(testPassword)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Home' }).waitFor()
    assert.deepEqual(
      complaints.filter((text) => !text.includes('status of 401')),
      [],
    )

    const { page: second } = await openPage(t, browser)
    await second.goto(`${base}/choose-password?user=anna#token=${token}`)
    await second.getByLabel('New password').fill(testPassword)
    await second.getByLabel('The same again').fill(testPassword)
    await second.getByRole('button', { name: 'Set the password and sign in' }).click()
    await second.getByRole('alert').getByText('already used').waitFor()
    await second.reload()
    await second.getByRole('alert').getByText('no link in this address').waitFor()
  })
})
