/**
 * Puts what a camera saw into a dataset: the snapshot of an event as a sample, with the boxes of all events that speak
 * of the same picture as what is said of it. What is said of a sample that is in the dataset already is left alone.
 */
import {
  type DatasetSample,
  type EventSamplesPut,
  isName,
  Refusal,
  type SampleAnnotation,
  type StoredEvent,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { Events } from '../events/events.ts'
import type { DatasetDesk } from './datasets.ts'
import { jpegSize } from './jpeg-size.ts'
import type { SamplePictures } from './sample-pictures.ts'

export type EventSamples = {
  /**
   * @throws {Refusal} notFound where an event, its picture or the dataset is none; badRequest where an event has no
   * picture
   */
  put(
    dataset: string,
    eventIds: readonly number[],
    by: string,
    note: AuditNote,
  ): Promise<EventSamplesPut>
}

export function openEventSamples(deps: {
  events: Events
  datasets: DatasetDesk
  samples: SamplePictures
  /** Of snapshots. */
  blobs: Blobs
  /** Where people see a device. */
  siteOf: (deviceId: string) => string | undefined
}): EventSamples {
  const { events, datasets, samples, blobs, siteOf } = deps

  async function sampleOf(eventId: number, digest: string, event: StoredEvent) {
    const bytes = await blobs.read(digest)
    if (!bytes) {
      throw new Refusal(
        'notFound',
        `Cannot add event ${eventId}: its picture is not here; it has not arrived yet, or is gone by age`,
      )
    }
    const size = jpegSize(bytes)
    if (!size) throw new Refusal('badRequest', `Cannot add event ${eventId}: its picture is broken`)
    const site = siteOf(event.deviceId)
    const sample: DatasetSample = {
      digest,
      ...size,
      name: `${event.deviceId}/${event.streamId ?? 'device'}/${event.at}.jpg`,
      ...(site !== undefined && isName(site) && { site }),
      ...(event.streamId !== null && { stream: event.streamId }),
      capturedAt: event.at,
      annotations: annotationsOf(await events.ofSnapshot(eventId, digest)),
    }
    return { sample, picture: { digest, ...size, bytes, form: 'image/jpeg' as const } }
  }

  return {
    put: async (dataset, eventIds, by, note) => {
      const { labels } = await datasets.show(dataset)
      const found = new Map<string, Awaited<ReturnType<typeof sampleOf>>>()
      let already = 0
      for (const eventId of new Set(eventIds)) {
        const event = await events.show(eventId)
        const { snapshot } = event
        if (snapshot === null) {
          throw new Refusal('badRequest', `Cannot add event ${eventId}: it has no picture`)
        }
        if (found.has(snapshot)) continue
        if (await datasets.has(dataset, snapshot)) already++
        else found.set(snapshot, await sampleOf(eventId, snapshot, event))
      }
      if (found.size === 0) return { added: 0, already }
      const given = [...found.values()]
      await samples.keep(given.map(({ picture }) => picture))
      const said = given.flatMap(({ sample }) => sample.annotations)
      const addLabels = [
        ...new Set(said.flatMap((one) => ('label' in one ? [one.label] : []))),
      ].filter((label) => !labels.includes(label))
      if (addLabels.length > 0) await datasets.edit(dataset, { addLabels })
      const { added, changed, unchanged } = await datasets.put(
        dataset,
        given.map(({ sample }) => sample),
        by,
        note,
      )
      return { added, already: already + changed + unchanged }
    },
  }
}

/** What events say of the picture that they share; the same box is said by several events of a track. */
export function annotationsOf(events: readonly StoredEvent[]): SampleAnnotation[] {
  const said = new Map<string, SampleAnnotation>()
  for (const { kind, label, data } of events) {
    if (label === null) continue
    const best = data.best as { box?: number[]; snapshotAt?: string } | undefined
    // A picture of another moment: the object has moved on in it.
    const box = kind === 'left' ? (best?.snapshotAt ? undefined : best?.box) : data.box
    if (!Array.isArray(box) || box.length !== 4) continue
    const annotation: SampleAnnotation = { kind: 'box', label, box: box as number[] }
    said.set(JSON.stringify(annotation), annotation)
  }
  return [...said.values()]
}
