/** The streams of all devices as one list, for walls of pictures that show a few at a time. */
import type { RouteQuery, StreamPage } from '@edgeloop/protocol'
import { type Device, siteOf } from './device.ts'

type Listed = Pick<
  Device,
  'deviceId' | 'name' | 'site' | 'movedTo' | 'online' | 'reported' | 'desired'
>

/** In an order that does not change by itself, so that a page stays the page it is. */
export function listStreams(
  devices: Iterable<Listed>,
  query: RouteQuery<'streamList'>,
): StreamPage {
  const { offset = 0, limit = 16 } = query
  const words = (query.q ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  const wanted = [...devices]
    .filter(({ deviceId }) => query.device === undefined || deviceId === query.device)
    .filter((device) => query.site === undefined || siteOf(device) === query.site)
    .sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1))
  const streams: StreamPage['streams'] = []
  let total = 0
  for (const device of wanted) {
    for (const stream of device.reported?.streams ?? []) {
      const text = [stream.name, stream.streamId, device.name, device.deviceId, siteOf(device)]
      const all = text.join(' ').toLowerCase()
      if (!words.every((word) => all.includes(word))) continue
      if (total >= offset && streams.length < limit) streams.push(entryOf(device, stream))
      total++
    }
  }
  return { streams, total }
}

function entryOf(
  device: Listed,
  stream: StreamPage['streams'][number]['stream'],
): StreamPage['streams'][number] {
  const { deviceId, name, online, desired } = device
  const site = siteOf(device)
  const config = desired?.config.streams.find(({ streamId }) => streamId === stream.streamId)
  return { deviceId, deviceName: name, site, online, stream, scoreMin: config?.scoreMin ?? null }
}
