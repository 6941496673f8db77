/** Small pictures and datasets as somebody brings them to a hub. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import {
  type DatasetSample,
  type PackedPicture,
  type SampleAnnotation,
  writePack,
} from '@edgeloop/protocol'
import sharp from 'sharp'
import { pack } from 'tar-stream'
import type { TestHub } from './fixture.ts'

export const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** A PNG that differs from every other seed's: a square somewhere on a ground. */
export async function picture(seed: number, width = 64, height = 48): Promise<PackedPicture> {
  const data = new Uint8Array(width * height * 3)
  for (let at = 0; at < data.length; at++) {
    const x = Math.floor(at / 3) % width
    const y = Math.floor(at / 3 / width)
    const inside = x >= (seed * 7) % width && y >= (seed * 5) % height
    data[at] = inside ? (seed * 37 + (at % 3) * 50) % 256 : (x * 3 + y * seed) % 256
  }
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  return { digest: digestOf(bytes), bytes, width, height, form: 'image/png' }
}

export const pictures = (count: number, from = 0): Promise<PackedPicture[]> =>
  Promise.all(Array.from({ length: count }, (_, at) => picture(from + at)))

/** @param annotations of the picture; one box by default */
export const sampleOf = (
  { digest, width, height }: PackedPicture,
  name: string,
  annotations: SampleAnnotation[] = [{ kind: 'box', label: 'bolt', box: [0.1, 0.1, 0.5, 0.5] }],
): DatasetSample => ({ digest, name, width, height, annotations })

/** What is needed of a hub, in this process or another, to bring it pictures. */
export type ReachedHub = {
  readonly api: TestHub['api']
  readonly hub: { readonly localTokenFile: string; readonly urls: { readonly browser: string } }
}

/** Sends a pack as it is. */
export async function sendPack(hub: ReachedHub, pack: Uint8Array): Promise<Response> {
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  return await fetch(`${hub.hub.urls.browser}/api/samples`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: Buffer.from(pack),
  })
}

/** Makes a dataset with as many samples as `count`, each with one box. */
export async function addDataset(
  hub: TestHub,
  name: string,
  count: number,
): Promise<DatasetSample[]> {
  const sent = await pictures(count)
  const samples = sent.map((one, at) => ({
    ...sampleOf(one, `${at}.png`),
    stream: `cam-${at % 3}`,
    site: 'plant',
    capturedAt: new Date(Date.UTC(2026, 0, 1, 0, at)).toISOString(),
  }))
  for (const [method, path, body] of [
    ['POST', '/api/datasets', { name, labels: ['bolt', 'nut'] }],
    ['PUT', `/api/datasets/${name}/samples`, { samples }],
  ] as const) {
    if (method === 'PUT') assert.equal((await sendPack(hub, writePack(sent))).status, 200)
    const reply = await hub.api(method, path, body)
    assert.ok(reply.ok, `${path}: ${reply.status} ${await reply.clone().text()}`)
  }
  return samples
}

/** A tar of files; a name that is given twice is in it twice. */
export async function tarOf(
  files: readonly (readonly [name: string, bytes: Uint8Array | string])[],
): Promise<Buffer> {
  const tar = pack()
  for (const [name, bytes] of files) tar.entry({ name }, Buffer.from(bytes))
  tar.finalize()
  return await buffer(tar)
}

/** An annotation file of Pascal VOC with boxes in pixels from 1. */
export const vocOf = (
  { width, height }: PackedPicture,
  ...boxes: readonly (readonly [label: string, ...place: number[]])[]
): string =>
  `<annotation><size><width>${width}</width><height>${height}</height></size>${boxes
    .map(
      ([label, left, top, right, bottom]) =>
        `<object><name>${label}</name><bndbox><xmin>${left}</xmin><ymin>${top}</ymin><xmax>${right}</xmax><ymax>${bottom}</ymax></bndbox></object>`,
    )
    .join('')}</annotation>`
