/** Clips on the pages: switched on for a stream, fetched from a box and played, in Chromium against a real hub. */

process.env.UV_THREADPOOL_SIZE ??= '16'

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { DeviceDetail, EventPage, NewEvent } from '@edgeloop/protocol'
import { StreamClips } from '../../edge-agent/src/clips/stream-clips.ts'
import { openerOf } from '../contracts/looking.ts'
import { needs } from '../require.ts'
import { makeClip } from '../rtsp/make-clip.ts'
import { complaintsOfAxe } from './axe.ts'
import { openBrowser, openPage } from './browser.ts'
import { appeared, openFleet } from './fleet.ts'
import { partsAt } from './scene.ts'

const { openCamera } = await import('../../edge-agent/src/cameras/open-camera.ts')
/** What is looked at of an element of the page. */
type Video = {
  readonly readyState: number
  readonly videoWidth: number
  readonly duration: number
  readonly currentTime: number
  readonly error: { readonly message: string } | null
  play(): Promise<void>
}
type ClipRecord = Extract<NewEvent, { kind: 'clip' }>

/** A clip as the agent writes it, of a camera with B-frames, and its record. */
async function recordClip(t: TestContext): Promise<{ record: ClipRecord; video: Buffer }> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-clips-'))
  t.after(() => rm(folder, { recursive: true }))
  const source = await makeClip({ width: 640, height: 360, fps: 30, seconds: 8, bframes: 2 })
  let record: ClipRecord | undefined
  const window = { beforeMs: 1000, afterMs: 2000, lengthMaxMs: 60_000 }
  const clips = new StreamClips({
    streamId: 'belt',
    folder,
    settings: { ...window, kinds: ['alarm'], labels: undefined },
    announce: () => {},
    record: async (event) => {
      record = event as ClipRecord
    },
    warn: (text) => assert.fail(text),
    free: async () => 1e12,
  })
  const openWith = openerOf(openCamera, 'node-av')
  await using camera = await openWith({
    source,
    pace: 'live',
    onCoded: (packet) => clips.packet(packet),
  })
  for await (using frame of camera.frames()) {
    const at = new Date(frame.at).toISOString()
    const alarm = { kind: 'alarm', at, code: 'diskFull', active: true, text: '' } as const
    if (frame.frame === 75) clips.take(alarm)
    if (record) break
  }
  await clips.end()
  assert.ok(record)
  return { record, video: await readFile(join(folder, `${record.clip}.mp4`)) }
}

test('clips on the pages', { ...needs('chromium', 'node-av'), timeout: 180_000 }, async (t) => {
  const [fleet, browser] = await Promise.all([openFleet(t), openBrowser(t)])
  const url = fleet.hub.hub.urls.browser
  const { record, video } = await recordClip(t)
  assert.equal(fleet.line.keepClip(video), record.clip)
  const moment = new Date(Date.parse(record.startedAt) + 1500).toISOString()
  const [part] = partsAt(0.5, 1)
  assert.ok(part)
  const event = appeared(part, moment, 9001)
  await fleet.line.tell(event, record)
  const listed = (await (
    await fleet.hub.api('GET', '/api/events?device=line-4&stream=belt&kind=appeared&limit=1')
  ).json()) as EventPage
  const eventId = listed.events[0]?.eventId
  assert.ok(eventId)
  const open = async (t: TestContext, path: string) => {
    const cookies = await fleet.cookies(browser)
    const opened = await openPage(t, browser, { cookies })
    await opened.page.goto(url + path)
    return opened
  }

  await t.test(
    'the clip of an event is fetched from its box, plays, and can be wound',
    async (t) => {
      const { page, complaints } = await open(t, `/events/${eventId}`)
      const clip = page.getByRole('region', { name: 'Clip' })
      await clip.getByText('it is on the box, and comes when it is asked for').waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await clip.getByRole('button', { name: 'Fetch the clip' }).click()
      const player = clip.locator('video')
      await player.waitFor({ timeout: 20_000 })
      const state = () =>
        player.evaluate((element) => {
          const { readyState, videoWidth, duration, currentTime, error } =
            element as unknown as Video
          return { readyState, videoWidth, duration, currentTime, error: error?.message }
        })
      await t.waitFor(async () => assert.ok((await state()).readyState >= 2), { timeout: 20_000 })
      const { videoWidth, duration, error } = await state()
      assert.deepEqual([videoWidth, error], [640, undefined])
      assert.ok(Math.abs(duration - record.durationMs / 1000) < 0.1, `${duration} s`)
      await clip.getByRole('button', { name: 'To the moment, at 1.5 s' }).click()
      await t.waitFor(async () => assert.ok(Math.abs((await state()).currentTime - 1.5) < 0.05), {
        timeout: 10_000,
      })
      await player.evaluate((element) => (element as unknown as Video).play())
      await t.waitFor(async () => assert.ok((await state()).currentTime > 2), { timeout: 20_000 })
      assert.deepEqual(await complaintsOfAxe(page), [])
      assert.deepEqual(complaints, [])
    },
  )

  await t.test(
    'clips are switched on for a stream, with what they cost, and not with masks',
    async (t) => {
      const source = 'rtsp://10.0.0.9/1'
      await fleet.hub.api('POST', '/api/devices/line-4/streams', { streamId: 'belt', source })
      const { page, complaints } = await open(t, '/devices/line-4/streams/belt')
      const fields = page.getByRole('region', { name: 'Clips' })
      await fields.getByLabel('Record clips of events').check()
      await fields.getByLabel('Seconds before').fill('8')
      await fields.getByText(/6 MB of memory all the time, and 10 MB of disk/).waitFor()
      assert.deepEqual(await complaintsOfAxe(page), [])
      await page.getByRole('button', { name: 'Save version 2' }).click()
      await page.getByText('Saved as version 2').waitFor()
      const detail = (await (
        await fleet.hub.api('GET', '/api/devices/line-4')
      ).json()) as DeviceDetail
      const [saved] = detail.desired?.config.streams ?? []
      assert.deepEqual(saved?.clips, { beforeSeconds: 8 })
      const polygon = [
        [0, 0],
        [1, 0],
        [1, 1],
      ]
      const streams = [{ streamId: 'belt', source, masks: [{ name: 'yard', polygon }] }]
      const body = { version: 2, config: { streams } }
      assert.equal((await fleet.hub.api('PUT', '/api/devices/line-4/desired', body)).status, 200)
      await page.reload()
      await fields.getByText('Not with masks').waitFor()
      assert.ok(await fields.getByLabel('Record clips of events').isDisabled())
      assert.deepEqual(complaints, [])
    },
  )
})
