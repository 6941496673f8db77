/** The wall of live pictures in a real Chromium, against a real hub and streams that send real pictures. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { needs } from '../require.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage, type PageOptions } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'
import { measureWall, openWallDevice, wallTiles } from './wall-figures.ts'

test('the live wall', needs('chromium'), async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const cookies = await signIn(hub, browser)
  const url = `${hub.hub.urls.browser}/live`
  const open = async (t: TestContext, to: string, options: PageOptions = {}) => {
    const { page, complaints } = await openPage(t, browser, { ...options, cookies })
    await page.goto(to)
    return { page, complaints }
  }

  await t.test('a hub without streams says what comes first', async (t) => {
    const { page } = await open(t, url)
    await page.getByText('No streams yet').waitFor()
    await page.getByRole('link', { name: 'Add one to a device' }).waitFor()
  })

  const wall = await openWallDevice(hub)
  t.after(() => wall[Symbol.asyncDispose]())
  const wanted = () =>
    Array.from({ length: wallTiles }, (_, n) => `tile-${String(n + 1).padStart(2, '0')}`).filter(
      (id) => wall.wantedUntil(id) > Date.now(),
    ).length

  // The bounds of the notes are the benchmark's (npm run bench -- pages); here a slow machine must pass too.
  await t.test('sixteen tiles play at once over one connection, and nothing grows', async (t) => {
    const { page, complaints } = await open(t, `${url}?layout=16`)
    await page.getByText('1–16 of 16 streams').waitFor()
    await t.waitFor(() => assert.equal(wanted(), wallTiles), { timeout: 15_000 })
    const figures = await measureWall(page, 6)
    t.diagnostic(JSON.stringify(figures))
    assert.ok(figures.fpsMin > 0.5, `the slowest tile drew ${figures.fpsMin} pictures a second`)
    assert.ok(figures.heapGrowthMb < 20, `the heap grew by ${figures.heapGrowthMb} MB`)
    assert.ok(figures.healthMsMax < 2000, `a small request took ${figures.healthMsMax} ms`)
    assert.deepEqual(complaints, [])
  })

  await t.test('only what is on screen is asked for, page by page', async (t) => {
    const { page } = await open(t, `${url}?layout=4`)
    await t.waitFor(() => assert.equal(wanted(), 4), { timeout: 15_000 })
    assert.ok(wall.wantedUntil('tile-01') > Date.now())
    await page.keyboard.press('j')
    await page.getByText('5–8 of 16 streams').waitFor()
    await t.waitFor(
      () => {
        assert.equal(wanted(), 4)
        assert.ok(wall.wantedUntil('tile-05') > Date.now())
      },
      { timeout: 15_000 },
    )
    assert.match(page.url(), /page=2/)
    await page.keyboard.press('k')
    await page.getByText('1–4 of 16 streams').waitFor()
    await page.getByRole('button', { name: '16 tiles' }).click()
    await page.getByText('1–16 of 16 streams').waitFor()
    await page.getByLabel('Filter streams').fill('tile-07')
    await page.getByText('1–1 of 1 stream').waitFor()
    await page.getByLabel('Filter streams').fill('nowhere')
    await page.getByText('No stream fits these filters').waitFor()
    await page.goto(`${url}?layout=4&page=9`)
    await page.getByText('There is no such page').waitFor()
  })

  await t.test('one tile becomes large, is a link, and Escape leads back', async (t) => {
    const { page } = await open(t, `${url}?layout=4`)
    await page.getByRole('link', { name: 'tile-02, Wall' }).click()
    await page.getByRole('region', { name: 'Beside the picture' }).waitFor()
    assert.match(page.url(), /one=wall-1%2Ftile-02/)
    await t.waitFor(() => assert.equal(wanted(), 1), { timeout: 15_000 })
    assert.deepEqual(await complaintsOfAxe(page), [])
    await page.keyboard.press('Escape')
    await page.getByText('1–4 of 16 streams').waitFor()
    await page.goto(`${url}?one=wall-1%2Fgone`)
    await page.getByText('This stream is not reported').waitFor()
  })

  await t.test('the whole screen holds the tiles alone, by a key and back', async (t) => {
    const { page } = await open(t, `${url}?layout=4`)
    await page.getByText('1–4 of 16 streams').waitFor()
    await page.keyboard.press('f')
    const full = () => page.evaluate<boolean>('document.fullscreenElement !== null')
    await t.waitFor(async () => assert.ok(await full()), { timeout: 8000 })
    assert.equal(
      await page.evaluate('document.fullscreenElement.querySelectorAll("canvas").length'),
      4,
    )
    await page.keyboard.press('f')
    await t.waitFor(async () => assert.ok(!(await full())), { timeout: 8000 })
  })

  await t.test(
    'dark, light, on a phone: nothing to complain of and no sideways scroll',
    async (t) => {
      for (const scheme of ['dark', 'light'] as const) {
        const { page, complaints } = await open(t, `${url}?layout=16`, {
          scheme,
          width: 360,
          height: 760,
        })
        await page.getByText('1–16 of 16 streams').waitFor()
        assert.deepEqual(await complaintsOfAxe(page), [], scheme)
        const width = await page.evaluate<number>('document.documentElement.scrollWidth')
        assert.ok(width <= 360, `it is ${width} px wide`)
        assert.deepEqual(complaints, [])
      }
    },
  )

  await t.test('a device that is gone leaves its last pictures with their age', async (t) => {
    const { page } = await open(t, `${url}?layout=1`)
    const spoken = page.getByText(/^[1-9] objects: /)
    await spoken.waitFor({ state: 'attached', timeout: 15_000 })
    await wall[Symbol.asyncDispose]()
    await page.getByText('The device is offline').waitFor({ timeout: 15_000 })
    await page.getByText(/\d+ s old/).waitFor({ timeout: 15_000 })
  })
})
