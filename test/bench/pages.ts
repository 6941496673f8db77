/**
 * How the pages do in Chromium where they have the most to show: Fleet with 10,000 devices, and a wall of 16
 * live tiles, each against a real hub. `npm run bench -- pages [--seconds N] [--devices N]`
 */
import type { TestContext } from 'node:test'
import { parseArgs } from 'node:util'
import { openBrowser, openPage } from '../browser/browser.ts'
import { openHubWithDashboard, signIn } from '../browser/fleet.ts'
import { measureFleet } from '../browser/fleet-figures.ts'
import { addDevices } from '../browser/many-devices.ts'
import { measureWall, openWallDevice } from '../browser/wall-figures.ts'
import type { Bench } from './bench.ts'

/** What the issue asks for. */
const target = { firstRowsMs: 1000, scrollFps: 50, wallFps: 4, heapGrowthMb: 20 }

export const bench: Bench = async ({ args }) => {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '60' },
      devices: { type: 'string', default: '10000' },
    },
  })
  await using opened = new AsyncDisposableStack()
  // The fixtures of the tests ask for no more of a test than to be closed with it.
  const t: Pick<TestContext, 'after'> = {
    after: (close) => opened.defer(async () => void (await (close as () => unknown)())),
  }
  const hub = await openHubWithDashboard(t)
  const browser = await openBrowser(t)
  const devices = Number(values.devices)
  const device = opened.use(await openWallDevice(hub))
  // One of them is the device of the wall, which comes back by itself when the hub does.
  await addDevices(hub, devices - 1)
  const cookies = await signIn(hub, browser)
  const { page } = await openPage(t, browser, { cookies })
  await page.goto(hub.hub.urls.browser)
  const fleet = await measureFleet(page, `${hub.hub.urls.browser}/devices`)

  await page.goto(`${hub.hub.urls.browser}/live?layout=16&device=${device.deviceId}`)
  await page.getByText('1–16 of 16 streams').waitFor()
  const wall = await measureWall(page, Number(values.seconds))
  const reached =
    fleet.firstRowsMs <= target.firstRowsMs &&
    fleet.scrollFps >= target.scrollFps &&
    wall.fpsMin >= target.wallFps &&
    wall.heapGrowthMb < target.heapGrowthMb
  return {
    name: 'pages',
    rows: [
      { page: `Fleet, ${devices} devices`, ...fleet },
      { page: `Live, 16 tiles, ${values.seconds} s`, ...wall },
    ],
    json: { target, reached, fleet, wall },
  }
}
