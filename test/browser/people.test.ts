/** People in a real Chromium: how they come in, and how an admin sees to them. */
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
    assert.deepEqual(complaints.filter(isOurs), [])

    const { page: second } = await openPage(t, browser)
    await second.goto(`${base}/choose-password?user=anna#token=${token}`)
    await second.getByLabel('New password').fill(testPassword)
    await second.getByLabel('The same again').fill(testPassword)
    await second.getByRole('button', { name: 'Set the password and sign in' }).click()
    await second.getByRole('alert').getByText('already used').waitFor()
    await second.reload()
    await second.getByRole('alert').getByText('no link in this address').waitFor()
  })

  await t.test(
    'an admin adds a user, changes the role, ends sessions and removes it',
    async (t) => {
      const { page, complaints } = await openPage(t, browser)
      await page.goto(await hub.hub.signInLink())
      await page.getByRole('link', { name: 'People' }).click()
      await page.getByRole('heading', { name: 'People' }).waitFor()
      await page.getByRole('button', { name: 'Add a user' }).click()
      await page.getByLabel('User', { exact: true }).fill('Bert@Plant.Example')
      await page.getByLabel('Role', { exact: true }).selectOption('operator')
      await page.getByRole('button', { name: 'Add the user and make a link' }).click()
      const link = await page.getByText('/choose-password?user=').textContent()
      assert.match(link ?? '', /user=bert%40plant\.example#token=[\w-]{43}$/)
      await page.keyboard.press('Escape')
      const row = page.locator('[data-user="bert@plant.example"]')
      await row.getByText('Not yet').waitFor()

      // The user comes in by the link, in a browser of their own.
      const { page: theirs } = await openPage(t, browser)
      await theirs.goto(link ?? '')
      await theirs.getByLabel('New password').fill(testPassword)
      await theirs.getByLabel('The same again').fill(testPassword)
      await theirs.getByRole('button', { name: 'Set the password and sign in' }).click()
      await theirs.getByRole('heading', { name: 'Home' }).waitFor()
      assert.equal(await theirs.getByRole('link', { name: 'People' }).count(), 0)
      assert.equal(await theirs.getByRole('link', { name: 'Audit' }).count(), 0)
      for (const place of ['/people', '/audit']) {
        await theirs.goto(base + place)
        await theirs.getByRole('heading', { name: 'Your role does not allow this' }).waitFor()
        await theirs.getByText('An admin can change your role').waitFor()
      }

      await page.reload()
      await row.getByText('Set', { exact: true }).waitFor()
      await row.getByRole('button', { name: /1 session of/ }).click()
      const sessions = page.getByRole('dialog', { name: /Sessions of bert/ })
      await sessions.getByText('Chrome on Linux').waitFor()
      assert.equal(new URL(page.url()).searchParams.get('user'), 'bert@plant.example')
      await page.goBack()
      await sessions.waitFor({ state: 'detached' })

      await row.getByLabel('Role of bert@plant.example').selectOption('viewer')
      await page.getByText('becomes viewer instead of operator. 1 session').waitFor()
      await page.getByRole('button', { name: 'Make bert@plant.example viewer' }).click()
      await row.getByRole('button', { name: /0 sessions of/ }).waitFor()
      await theirs.getByRole('heading', { name: 'Sign in' }).waitFor({ timeout: 20_000 })

      await row.getByRole('button', { name: /Actions for/ }).click()
      await page.getByRole('menuitem', { name: 'Remove…' }).click()
      await page.getByRole('button', { name: 'Remove 1 user' }).click()
      await row.waitFor({ state: 'detached' })
      // What cannot be done is said in the dialog, and nothing is closed.
      await page.getByRole('button', { name: 'Actions for owner' }).click()
      await page.getByRole('menuitem', { name: 'Remove…' }).click()
      await page.getByRole('button', { name: 'Remove 1 user' }).click()
      await page.getByRole('alert').getByText('last admin').waitFor()
      assert.deepEqual(complaints.filter(isOurs), [])
    },
  )

  await t.test(
    'the account page: a token is shown once, a password changed, a session ended',
    async (t) => {
      const { page } = await openPage(t, browser)
      await page.goto(await hub.hub.signInLink())
      await page.getByRole('heading', { name: 'Home' }).waitFor()
      await page.goto(`${base}/account`)
      await page.getByText('(this one)').waitFor()
      await page.getByText('No API tokens').waitFor()
      await page.getByRole('button', { name: 'Make a token' }).click()
      await page.getByLabel('Name').fill('line reports')
      await page.getByRole('button', { name: 'Make the token' }).click()
      const token = (await page.locator('pre').textContent()) ?? ''
      const headers = { authorization: `Bearer ${token}` }
      assert.equal((await fetch(`${base}/api/devices`, { headers })).status, 200)
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Revoke line reports' }).waitFor()
      assert.ok(!(await page.content()).includes(token))
      await page.getByRole('button', { name: 'Revoke line reports' }).click()
      await page.getByRole('button', { name: 'Revoke 1 token' }).click()
      await page.getByText('No API tokens').waitFor()
      assert.equal((await fetch(`${base}/api/devices`, { headers })).status, 401)

      await page.getByLabel('New password').fill(testPassword)
      await page.getByLabel('The same again').fill(testPassword)
      await page.getByRole('button', { name: 'Change it and end my other sessions' }).click()
      await page.getByText('The password is changed').waitFor()
      await page.getByText('(this one)').waitFor()
      await page.getByLabel('Current password').fill('not the password')
      await page.getByLabel('New password').fill('nine small boats')
      await page.getByLabel('The same again').fill('nine small boats')
      await page.getByRole('button', { name: 'Change it and end my other sessions' }).click()
      await page.getByRole('alert').getByText('the current one is wrong').waitFor()
    },
  )

  await t.test('the audit page: who did what, filters in the address, older pages', async (t) => {
    for (let n = 0; n < 110; n++) {
      await hub.api('POST', '/api/enrolment-tokens', { deviceId: `box-${n}` })
    }
    const { page, complaints } = await openPage(t, browser)
    await page.goto(await hub.hub.signInLink())
    await page.getByRole('heading', { name: 'Home' }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('a')
    await page.getByRole('heading', { name: 'Audit' }).waitFor()
    const rows = page.locator('[data-audit]')
    await page.getByText('100 entries shown').waitFor()
    await page.getByLabel('What', { exact: true }).selectOption('enrolmentCreate')
    await page.getByText('100 entries shown').waitFor()
    await page.getByRole('button', { name: 'Show older ones' }).click()
    await page.getByText('110 entries shown, which is all there are').waitFor()
    const ids = await rows.evaluateAll((all) => all.map((row) => row.getAttribute('data-audit')))
    assert.equal(new Set(ids).size, 110)
    await page.getByLabel('On what').fill('box-7')
    await page.getByText('1 entry shown').waitFor()
    assert.equal(new URL(page.url()).search, '?action=enrolmentCreate&target=box-7')
    await rows.first().getByText('local by the token of the machine').waitFor()
    await page.getByLabel('Outcome').selectOption('refused')
    await page.getByText('Nothing matches').waitFor()
    await page.reload()
    await page.getByText('Nothing matches').waitFor()
    await page.getByRole('button', { name: 'Clear the filters' }).click()
    await page.getByLabel('Outcome').selectOption('signInRefused')
    await rows.first().getByText('Refused: sign in refused').waitFor()
    await page.getByLabel('From', { exact: true }).fill('2001-01-02')
    assert.match(page.url(), /from=%222001-01-01T23:00:00\.000Z%22|from=2001-01-01T23/)
    assert.deepEqual(complaints.filter(isOurs), [])
  })
})

/** Chromium itself reports what was refused on purpose. */
const isOurs = (complaint: string): boolean => !/status of 4\d\d/.test(complaint)
