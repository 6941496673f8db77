/** Sketches of a stream whose minutes are alike, until something is done to them; and a box that sends them. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  greyBins,
  labelScoreBins,
  objectSteps,
  packNibbles,
  placeColumns,
  placeRows,
  profileColumns,
  profileRows,
  type Sketch,
  scoreBins,
  sizeSteps,
  tileColumns,
  tileRows,
  topicFor,
} from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import type { MqttClient } from 'mqtt'
import type { TestDevice } from './fixture.ts'

export const sketchesStart = Date.parse('2026-11-21T12:00:00.000Z')

/** A minute like any other, or one in which the light has changed; `minute` makes it differ a little. */
export function sketchOf(
  minute: number,
  { brightness = 120, digest = 'a' } = {},
): Omit<Sketch, 'sequence'> {
  const off = Math.sin(minute * 2.399)
  const bins = (count: number, at: number, worth: number) =>
    Array.from({ length: count }, (_, i) => (i === at ? worth : i === at + 1 ? 20 : 0))
  const nibbles = (count: number) =>
    packNibbles(Array.from({ length: count }, (_, i) => (i * 7 + (i >> 3) * 5) % 16))
  return {
    kind: 'sketch',
    at: new Date(sketchesStart + minute * 60_000).toISOString(),
    streamId: 'yard',
    intervalMs: 60_000,
    pictures: 60,
    analysed: 300,
    modelDigest: digest.repeat(64),
    scores: bins(scoreBins, 16, 300 + Math.round(20 * off)),
    objects: bins(objectSteps.length, 1, 280),
    sizes: bins(sizeSteps.length, 5, 300),
    places: bins(placeColumns * placeRows, 8, 300),
    labels: [{ label: 'cup', count: 320, scores: bins(labelScoreBins, 8, 300) }],
    otherLabels: 0,
    light: {
      brightness: [brightness * (1 + 0.02 * off), 2],
      contrast: [40, 1],
      greys: bins(greyBins, 7, 980),
    },
    background: {
      levels: nibbles(tileColumns * tileRows),
      textures: nibbles(tileColumns * tileRows),
      columns: nibbles(profileColumns),
      rows: nibbles(profileRows),
    },
  }
}

/** Sends sketches as a device, in order. */
export async function openSketcher(device: TestDevice) {
  const bootId = randomUUID()
  let sequence = 0
  let client: MqttClient = await device.connect()
  return {
    send: async (...sketches: readonly object[]) => {
      // A simulated sketch brings a number along that says nothing here.
      const entries = sketches.map((sketch) => ({ ...sketch, sequence: ++sequence }))
      for (const entry of entries) assert.deepEqual(Object.keys(checkEvent(entry)), ['event'])
      const payload = JSON.stringify({ bootId, acknowledgedThrough: 0, entries })
      await client.publishAsync(topicFor('events', device), payload, { qos: 1 })
    },
    again: async () => {
      client = await device.connect()
    },
  }
}

export const minutes = (from: number, count: number, as: Parameters<typeof sketchOf>[1] = {}) =>
  Array.from({ length: count }, (_, i) => sketchOf(from + i, as))
