/** What happens to a camera in each scenario, and what should be said of it. */
import type { DriftKind } from '@edgeloop/protocol'
import type { Habits, Injection } from './simulated-camera.ts'

export type Scenario = {
  readonly name: string
  readonly habits: Habits
  /** What is done, and the kind that it is; nothing in those where nobody should be told. */
  readonly drift?: {
    readonly injection: Injection
    readonly kind: DriftKind
    readonly rampMinutes?: number
  }
  /** Hour of the day at which it begins. */
  readonly hour?: number
}

/** Busier in the morning and in the afternoon, and hardly anything at night. */
const busyHours = (hour: number): number =>
  hour < 6 || hour >= 21 ? 4 : (hour >= 8 && hour < 10) || (hour >= 16 && hour < 18) ? 20 : 9

export const scenarios: readonly Scenario[] = [
  {
    name: 'lamp fails: light -40 %',
    habits: {},
    drift: { injection: { light: -0.74 }, kind: 'data' },
  },
  {
    name: 'new lamp: light +60 %',
    habits: {},
    drift: { injection: { light: 0.68 }, kind: 'data' },
  },
  {
    name: 'light falls by half in 20 minutes',
    habits: {},
    drift: { injection: { light: -1 }, kind: 'data', rampMinutes: 20 },
  },
  { name: 'lamps become warm', habits: {}, drift: { injection: { warmth: 0.5 }, kind: 'data' } },
  {
    name: 'haze takes half of the contrast',
    habits: {},
    drift: { injection: { haze: 0.5 }, kind: 'data' },
  },
  {
    name: 'shadow by day, outdoors',
    habits: { outdoors: true, clouds: 0.08 },
    hour: 13,
    drift: { injection: { light: -1.2 }, kind: 'data' },
  },
  {
    name: 'moved by 3 % sideways',
    habits: {},
    drift: { injection: { movedX: 0.03 }, kind: 'camera-moved' },
  },
  {
    name: 'moved by 4 % upwards',
    habits: {},
    drift: { injection: { movedY: -0.04 }, kind: 'camera-moved' },
  },
  {
    name: 'moved by 20 %',
    habits: {},
    drift: { injection: { movedX: -0.2 }, kind: 'camera-moved' },
  },
  {
    name: 'moved by 5 % both ways, outdoors',
    habits: { outdoors: true, clouds: 0.08 },
    hour: 11,
    drift: { injection: { movedX: 0.05, movedY: 0.05 }, kind: 'camera-moved' },
  },
  {
    name: 'turned to another scene',
    habits: {},
    drift: { injection: { elsewhere: true }, kind: 'camera-moved' },
  },
  {
    name: 'slightly out of focus',
    habits: {},
    drift: { injection: { blur: 1.5 }, kind: 'camera-blurred' },
  },
  {
    name: 'far out of focus',
    habits: {},
    drift: { injection: { blur: 4 }, kind: 'camera-blurred' },
  },
  {
    name: 'out of focus, outdoors',
    habits: { outdoors: true, clouds: 0.08 },
    hour: 14,
    drift: { injection: { blur: 2 }, kind: 'camera-blurred' },
  },
  {
    name: 'a third is covered',
    habits: {},
    drift: { injection: { covered: 0.33, cover: 25 }, kind: 'camera-covered' },
  },
  {
    name: 'half is covered by something light',
    habits: {},
    drift: { injection: { covered: 0.5, cover: 215 }, kind: 'camera-covered' },
  },
  {
    name: 'covered whole, dark',
    habits: {},
    drift: { injection: { covered: 1, cover: 6 }, kind: 'camera-covered' },
  },
  {
    name: 'sprayed over, grey',
    habits: { outdoors: true },
    hour: 12,
    drift: { injection: { covered: 1, cover: 110 }, kind: 'camera-covered' },
  },
  {
    name: 'a new kind of part',
    habits: {},
    drift: { injection: { unknown: 0.6 }, kind: 'output' },
  },
  {
    name: 'three times the traffic',
    habits: {},
    drift: { injection: { traffic: 3 }, kind: 'output' },
  },
  {
    name: 'hardly any traffic',
    habits: {},
    drift: { injection: { traffic: 0.1 }, kind: 'output' },
  },
  { name: 'scores fall', habits: {}, drift: { injection: { doubt: 1.2 }, kind: 'output' } },
  {
    name: 'objects come another way',
    habits: {},
    drift: { injection: { lane: -0.3 }, kind: 'output' },
  },
  { name: 'objects are smaller', habits: {}, drift: { injection: { scale: 0.6 }, kind: 'output' } },
  { name: 'nothing, indoors', habits: {} },
  { name: 'nothing, day and night outdoors', habits: { outdoors: true, clouds: 0.06 } },
  { name: 'nothing but clouds', habits: { outdoors: true, clouds: 0.15 } },
  {
    name: 'nothing but rain for hours',
    habits: { outdoors: true, clouds: 0.06, rain: (hour) => hour >= 12 && hour < 15 },
  },
  { name: 'nothing but exposure that hunts', habits: { flicker: 0.17 } },
  { name: 'nothing but busy hours', habits: { trafficAt: busyHours } },
  {
    name: 'nothing but busy hours outdoors',
    habits: { outdoors: true, trafficAt: busyHours, clouds: 0.08 },
  },
]
