/** Routes of events: lists and filters, marks, pictures and clips. */
import { type Static, Type } from 'typebox'
import { EventClip } from './clip.ts'
import { eventKinds, MarkKind, markKinds, StoredEvent } from './event.ts'
import { DeviceId, Digest, Label, StreamId, Timestamp } from './names.ts'
import type { Route } from './route.ts'

const closed = { additionalProperties: false } as const

export const markFilters = [...markKinds, 'unreviewed'] as const

export type MarkFilter = (typeof markFilters)[number]

/** Events in one request to mark them. */
export const markedEventsMax = 500

export const EventQuery = Type.Object(
  {
    device: Type.Optional(DeviceId),
    stream: Type.Optional(StreamId),
    /** All but `health`, `counts` and `clip` where left out: they come all the time and would bury the rest. */
    kind: Type.Optional(Type.Enum(eventKinds)),
    label: Type.Optional(Label),
    /** Events that anybody marked so; `unreviewed` are those that the caller has not reviewed. */
    mark: Type.Optional(Type.Enum(markFilters)),
    from: Type.Optional(Timestamp),
    to: Type.Optional(Timestamp),
    /** Only events stored before this one: the cursor of the next page. */
    before: Type.Optional(Type.Integer({ minimum: 1 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  },
  closed,
)
export type EventQuery = Static<typeof EventQuery>

/** Newest first. `next` is the `before` of the next page, or null at the end. */
export const EventPage = Type.Object(
  { events: Type.Array(StoredEvent), next: Type.Union([Type.Integer(), Type.Null()]) },
  { $id: 'EventPage' },
)
export type EventPage = Static<typeof EventPage>

/** How many events there were when: one lane per stream, the busiest first. */
export const EventDensity = Type.Object(
  {
    from: Timestamp,
    slotMs: Type.Integer({ minimum: 1 }),
    slots: Type.Integer({ minimum: 1 }),
    /** Later than `from` where too many events lie between: before it nothing was counted. */
    countedFrom: Timestamp,
    lanes: Type.Array(
      Type.Object({
        deviceId: DeviceId,
        streamId: Type.Union([StreamId, Type.Null()]),
        /** Events in each slot; figures that come all the time are none. */
        counts: Type.Array(Type.Integer()),
        /** Of them, alarms and losses. */
        alarms: Type.Array(Type.Integer()),
        /** Of them, those that somebody marked as important. */
        important: Type.Array(Type.Integer()),
      }),
    ),
    /** Lanes that found no room. */
    omitted: Type.Integer(),
  },
  { $id: 'EventDensity' },
)
export type EventDensity = Static<typeof EventDensity>

export const eventRoutes = {
  eventList: {
    method: 'GET',
    path: '/api/events',
    access: 'viewer',
    summary: 'Lists stored events, newest first',
    query: EventQuery,
    response: EventPage,
  },
  eventShow: {
    method: 'GET',
    path: '/api/events/:eventId',
    access: 'viewer',
    summary: 'Shows one event',
    params: Type.Object({ eventId: Type.Integer({ minimum: 1 }) }, closed),
    response: StoredEvent,
  },
  eventClipShow: {
    method: 'GET',
    path: '/api/events/:eventId/clip',
    access: 'viewer',
    summary: 'Says where the clip is that shows the moment of an event',
    params: Type.Object({ eventId: Type.Integer({ minimum: 1 }) }, closed),
    response: EventClip,
  },
  eventClipAsk: {
    method: 'POST',
    path: '/api/events/:eventId/clip',
    access: 'operator',
    summary: 'Asks the device for the clip that shows the moment of an event',
    params: Type.Object({ eventId: Type.Integer({ minimum: 1 }) }, closed),
    response: EventClip,
  },
  clipShow: {
    method: 'GET',
    path: '/api/clips/:digest',
    access: 'viewer',
    summary: 'Gives the video of a clip that the hub has, whole or the range that is asked for',
    params: Type.Object({ digest: Digest }, closed),
    produces: 'video/mp4',
  },
  eventDensity: {
    method: 'GET',
    path: '/api/event-density',
    access: 'viewer',
    summary: 'Counts events per stream in even slots of time',
    query: Type.Object(
      {
        device: Type.Optional(DeviceId),
        stream: Type.Optional(StreamId),
        kind: Type.Optional(Type.Enum(eventKinds)),
        label: Type.Optional(Label),
        from: Timestamp,
        to: Timestamp,
        slots: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 120 })),
      },
      closed,
    ),
    response: EventDensity,
  },
  eventMark: {
    method: 'POST',
    path: '/api/event-marks',
    access: 'operator',
    summary:
      "Sets or takes back a mark of the caller's on events; answers which events that changed",
    body: Type.Object(
      {
        eventIds: Type.Array(Type.Integer({ minimum: 1 }), {
          minItems: 1,
          maxItems: markedEventsMax,
        }),
        mark: MarkKind,
        /** False takes it back. */
        set: Type.Boolean(),
      },
      closed,
    ),
    response: Type.Object({ changed: Type.Array(Type.Integer()), at: Timestamp }),
  },
  blobShow: {
    method: 'GET',
    path: '/api/blobs/:digest',
    access: 'viewer',
    summary: 'Gives the bytes of a snapshot',
    params: Type.Object({ digest: Digest }, closed),
    produces: 'image/jpeg',
  },
} as const satisfies Record<string, Route>
