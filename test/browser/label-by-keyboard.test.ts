/** Twenty frames by the keyboard alone: accepted where the model is right, mended where it is not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Suggestion } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { openBrowser, openPage } from './browser.ts'
import { openHubWithDashboard, signIn } from './fleet.ts'
import { LabelDesk } from './label-desk.ts'
import { conveyorLabels, seedQueue, suggestionsOf } from './label-queue.ts'
import { type Part, sceneSize } from './scene.ts'

/** What is wrong with the proposals of a frame: its largest object is shifted, misnamed or has a ghost beside it. */
const faults = ['none', 'misnamed', 'ghost', 'shifted', 'none'] as const
const faultOf = (frame: number) => faults[frame % faults.length]

/** Pixels that a shifted one is off by. */
const offBy = 6

function proposed(parts: readonly Part[], frame: number): Suggestion[] {
  const [first, ...others] = suggestionsOf(parts).toSorted((a, b) => areaOf(b) - areaOf(a))
  if (!first?.box) return []
  const [left = 0, top = 0, width = 0, height = 0] = first.box
  switch (faultOf(frame)) {
    case 'misnamed':
      return [{ ...first, label: first.label === 'gear' ? 'nut' : 'gear' }, ...others]
    case 'ghost':
      return [first, ...others, { ...first, label: 'bracket', box: [0.4, 0.02, 0.3, 0.2] }]
    case 'shifted':
      return [{ ...first, box: [left + offBy / sceneSize.width, top, width, height] }, ...others]
    default:
      return [first, ...others]
  }
}

const areaOf = ({ box = [] }: Suggestion): number => (box[2] ?? 0) * (box[3] ?? 0)

test('twenty frames are labelled with the keyboard alone', needs('chromium'), async (t) => {
  const [hub, browser] = await Promise.all([openHubWithDashboard(t), openBrowser(t)])
  const queue = await seedQueue(hub, 22, { suggest: proposed })
  const { page, complaints } = await openPage(t, browser, { cookies: await signIn(hub, browser) })
  const desk = new LabelDesk(page)
  await page.goto(hub.hub.urls.browser)
  await page.getByRole('heading', { level: 1, name: 'Home' }).waitFor()
  await desk.press('g', 'b')
  await page.getByRole('heading', { level: 1, name: 'Label' }).waitFor()
  await page.getByRole('link', { name: 'Label belt' }).focus()
  await desk.press('Enter')
  await desk.painted()

  for (let frame = 0; frame < 20; frame++) {
    await desk.atFrame(frame + 1)
    const largest = queue.frames[frame]!.parts.toSorted(
      (a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3],
    )[0]!
    const fault = faultOf(frame)
    if (fault === 'misnamed') {
      await desk.press('Tab', String(conveyorLabels.indexOf(largest.label as 'gear') + 1))
    }
    if (fault === 'ghost') await desk.press('Tab', 'x')
    if (fault === 'shifted') {
      await desk.press('Tab', ...Array<string>(offBy).fill('ArrowLeft'))
    }
    await desk.press('Space')
  }
  await desk.atFrame(21)
  await desk.saved()
  for (const [n, { parts }] of queue.frames.slice(0, 20).entries()) {
    const said = (await queue.said(n)) ?? []
    assert.equal(said.length, parts.length, `frame ${n + 1}`)
    for (const { label, box } of parts) {
      const found = said.some(
        (one) =>
          one.kind === 'box' &&
          one.label === label &&
          one.box.every((value, at) => Math.abs(value - box[at as 0]) < 0.5 / sceneSize.width),
      )
      assert.ok(found, `frame ${n + 1}: ${label} at ${box} is not in ${JSON.stringify(said)}`)
    }
  }
  assert.deepEqual(await queue.said(20), [], 'the frame that nobody answered has nothing')
  await page.getByText(/^\d+(\.\d)? frames\/min$/).waitFor()
  await page.getByText('40 % untouched').waitFor()
  assert.deepEqual(complaints, [])
})
