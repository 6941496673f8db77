/** The demo's detector as somebody brings it to a hub. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Event, Upload } from '@edgeloop/protocol'
import sharp from 'sharp'
import { createScene } from '../../edge-agent/src/demo/scene.ts'
import type { TestDevice, TestHub } from './fixture.ts'

export const demoModelFile = new URL('../../edge-agent/demo/conveyor-float.onnx', import.meta.url)
export const demoDescriptionFile = new URL(
  '../../edge-agent/demo/conveyor.model.yaml',
  import.meta.url,
)
/** How it is added. */
export const demoModel = {
  layout: 'yolox',
  description: readFileSync(demoDescriptionFile, 'utf8'),
} as const

/**
 * Sends bytes in three parts.
 * @param headers of who sends them; of the hub's owner where they are left out
 * @returns id of the upload
 */
export async function uploadTo(
  hub: TestHub,
  bytes: Uint8Array,
  headers?: Readonly<Record<string, string>>,
): Promise<string> {
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const who = headers ?? { authorization: `Bearer ${token}` }
  const send = async (
    method: string,
    path: string,
    type: string,
    body: string | Buffer<ArrayBuffer>,
  ) => {
    const reply = await fetch(hub.hub.urls.browser + path, {
      method,
      body,
      headers: { ...who, 'content-type': type },
    })
    assert.ok(reply.ok, `${method} ${path}: ${reply.status}`)
    return (await reply.json()) as Upload
  }
  const begin = JSON.stringify({ sizeBytes: bytes.length })
  const { uploadId } = await send('POST', '/api/uploads', 'application/json', begin)
  const size = Math.ceil(bytes.length / 3)
  for (let at = 0; at < bytes.length; at += size) {
    const part = Buffer.from(bytes.subarray(at, at + size))
    await send('PUT', `/api/uploads/${uploadId}/${at}`, 'application/octet-stream', part)
  }
  return uploadId
}

/**
 * Snapshots of the demo's conveyor as a camera would have sent them, and events that name them.
 * @param device one that is enrolled
 */
export async function addSnapshots(hub: TestHub, device: TestDevice, count: number): Promise<void> {
  const digests: string[] = []
  for (const jpeg of await demoPictures(count)) {
    const digest = createHash('sha256').update(jpeg).digest('hex')
    const { status } = await device.put(`/blobs/${digest}`, 'image/jpeg', jpeg)
    assert.equal(status, 204)
    digests.push(digest)
  }
  await hub.inStore(async ({ writer }) => {
    const { device_key } = await writer
      .selectFrom('device')
      .select('device_key')
      .where('device_id', '=', device.deviceId)
      .executeTakeFirstOrThrow()
    const { boot_key } = await writer
      .insertInto('boot')
      .values({ device_key, boot_id: randomUUID(), through: count, first_at: 1 })
      .returning('boot_key')
      .executeTakeFirstOrThrow()
    const { last } = await writer
      .selectFrom('event')
      .select(({ fn }) => fn.max('event_id').as('last'))
      .executeTakeFirstOrThrow()
    const rows = digests.map((snapshot, i) => {
      const at = Date.now() - count + i
      const [kind, streamId, label, score] = ['appeared', 'north', 'gear', 0.9] as const
      const event: Event = {
        sequence: i + 1,
        kind,
        at: new Date(at).toISOString(),
        streamId,
        label,
        score,
        trackId: i + 1,
        box: [0.4, 0.4, 0.1, 0.1],
        snapshot,
      }
      return {
        event_id: Number(last ?? 0) + i + 1,
        device_key,
        boot_key,
        sequence: i + 1,
        kind,
        at,
        received_at: at,
        historical: 0,
        stream_id: streamId,
        label,
        score,
        snapshot,
        data: JSON.stringify(event),
      }
    })
    await writer.insertInto('event').values(rows).execute()
  })
}

/** Moments of the conveyor, spread over its loop, as JPEG. */
export async function demoPictures(count: number): Promise<Buffer[]> {
  const scene = createScene({ seed: 11, seconds: 24 })
  const { width, height } = scene
  const rgb = new Uint8Array(width * height * 3)
  const pictures: Buffer[] = []
  for (let i = 0; i < count; i++) {
    scene.render(Math.floor((i * scene.frameCount) / count), rgb)
    pictures.push(
      await sharp(rgb, { raw: { width, height, channels: 3 } })
        .jpeg()
        .toBuffer(),
    )
  }
  return pictures
}
