/** The past of a device in a real Chromium: versions of its configuration, the way back, and its states. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DeviceDetail } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'
import { SimulatedDevice } from './simulated-device.ts'

const camera = { streamId: 'belt', name: 'Belt', source: 'rtsp://admin:secret@camera/1' }

test('the past of a device in Chromium', needs('chromium'), async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const device = await SimulatedDevice.open(await hub.enrol('gate', 'Gate'))
  t.after(() => device[Symbol.asyncDispose]())
  const put = async (version: number, streams: object[]) => {
    const body = { version, config: { streams } }
    const reply = await hub.api('PUT', '/api/devices/gate/desired', body)
    assert.equal(reply.status, 200, await reply.text())
  }
  const wanted = async () => {
    const reply = await hub.api('GET', '/api/devices/gate')
    return ((await reply.json()) as DeviceDetail).desired
  }
  await put(0, [camera])
  await put(1, [{ ...camera, analysisFps: 2 }])
  await put(2, [{ ...camera, analysisFps: 9, source: 'rtsp://admin:other@camera/1' }])
  const reason = 'Cannot take desired configuration: this device is too slow'
  await device.report([camera], {
    configVersion: 2,
    config: { version: 2, accepted: true, reason: '' },
  })
  await device.report([camera], {
    configVersion: 2,
    config: { version: 3, accepted: false, reason },
  })
  const cookies = await signIn(hub, browser)
  const url = `${hub.hub.urls.browser}/devices/gate/config`
  const open = async (t: TestContext, to: string) => {
    const { page, complaints } = await openPage(t, browser, { cookies })
    await page.goto(to)
    return { page, complaints }
  }

  await t.test('versions say who, what became of them and what they changed', async (t) => {
    const { page, complaints } = await open(t, url)
    const versions = page.getByRole('region', { name: 'Versions' })
    await versions.getByText('Refused').waitFor()
    await versions.getByText(reason).waitFor()
    await versions.getByText('Taken').waitFor()
    assert.equal(await versions.getByRole('row').count(), 4)
    await page.getByRole('link', { name: 'Version 3' }).click()
    const changes = page.getByRole('list', { name: 'Changes of version 3' })
    await changes.getByText('the password differs').waitFor()
    await changes.getByText('/streams/belt/analysisFps').waitFor()
    assert.equal(new URL(page.url()).search, '?version=3')
    assert.doesNotMatch(await page.content(), /admin:(secret|other)/)
    await page.reload()
    await changes.getByText('the password differs').waitFor()
    const runtimes = page.getByRole('list', { name: 'Measured runtimes of demo-parts' })
    await runtimes.getByText('5.0 ms').waitFor()
    await runtimes.getByText('there is no graphics processor').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.setViewportSize({ width: 360, height: 760 })
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    assert.ok(width <= 360, `${width} px wide`)
    assert.deepEqual(complaints, [])
  })

  await t.test('a rollback shows what it changes, asks, and is a new version', async (t) => {
    const { page } = await open(t, `${url}?version=1`)
    await page.getByRole('button', { name: 'Roll back to version 1' }).click()
    const dialog = page.getByRole('dialog', { name: 'Roll back to version 1' })
    await dialog.getByText('1 device, 2 changes').waitFor()
    await dialog.getByRole('list').getByText('/streams/belt/analysisFps').waitFor()
    assert.deepEqual(await complaintsOfAxe(page), [])
    await dialog.getByRole('button', { name: 'Keep version 3' }).click()
    assert.equal((await wanted())?.version, 3, 'nothing was changed')

    await page.getByRole('button', { name: 'Roll back to version 1' }).click()
    await dialog.getByRole('button', { name: 'Roll back 1 device' }).click()
    await page.getByRole('link', { name: 'Version 4' }).waitFor()
    const desired = await wanted()
    assert.equal(desired?.version, 4)
    assert.equal(desired.config.streams[0]?.analysisFps, undefined)
  })

  await t.test(
    'whoever was faster is not overwritten, and what they changed is shown',
    async (t) => {
      const { page } = await open(t, `${url}?version=2`)
      await page.getByRole('button', { name: 'Roll back to version 2' }).click()
      const dialog = page.getByRole('dialog', { name: 'Roll back to version 2' })
      await dialog.getByText('1 device, 1 change').waitFor()
      await put(4, [{ ...camera, scoreMin: 0.8 }])
      await dialog.getByRole('button', { name: 'Roll back 1 device' }).click()
      const alert = dialog.getByRole('alert')
      await alert.getByText('the newest is 5').waitFor()
      await alert.getByText('/streams/belt/scoreMin').waitFor()
      assert.equal((await wanted())?.version, 5)
    },
  )

  await t.test('its states are listed, newest first', async (t) => {
    const at = (ago: number) => new Date(Date.now() - ago).toISOString()
    await device.tell(
      { kind: 'stream', at: at(60_000), streamId: 'belt', state: 'live', reason: '' },
      {
        kind: 'stream',
        at: at(30_000),
        streamId: 'belt',
        state: 'stalled',
        gapMs: 5000,
        reason: 'No frame for 5 s',
      },
      { kind: 'alarm', at: at(10_000), code: 'diskFull', active: true, text: 'No space is left' },
    )
    const { page, complaints } = await open(t, url)
    await page.getByRole('link', { name: 'History' }).click()
    const states = page.getByRole('region', { name: 'States' })
    await states.getByText('No space is left').waitFor()
    const rows = (await states.getByRole('row').allInnerTexts()).slice(1)
    assert.ok(
      rows.some((row) => row.includes('Connected')),
      `${rows}`,
    )
    const order = ['diskFull', 'Stalled', 'Live'].map((word) =>
      rows.findIndex((row) => row.includes(word)),
    )
    assert.ok(
      order.every((row, i) => row > (order[i - 1] ?? -1)),
      `${rows}`,
    )
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.setViewportSize({ width: 360, height: 760 })
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    assert.ok(width <= 360, `${width} px wide`)
    assert.deepEqual(complaints, [])
  })
})
