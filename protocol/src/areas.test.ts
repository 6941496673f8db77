/** Drawings that mean something, and those that do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Areas, areasMisfit, type Point, polygonMisfit } from './areas.ts'
import { misfitOf } from './check.ts'
import { configMisfit, DeviceConfig } from './stream.ts'

const square: Point[] = [
  [0.1, 0.1],
  [0.9, 0.1],
  [0.9, 0.9],
  [0.1, 0.9],
]

test('polygonMisfit() takes polygons of any turn, also hollow ones', () => {
  assert.equal(polygonMisfit(square), undefined)
  assert.equal(polygonMisfit(square.toReversed()), undefined)
  const hollow: Point[] = [
    [0.1, 0.1],
    [0.9, 0.1],
    [0.9, 0.9],
    [0.5, 0.2],
    [0.1, 0.9],
  ]
  assert.equal(polygonMisfit(hollow), undefined)
  // A corner in the middle of a straight side is no crossing.
  assert.equal(
    polygonMisfit([
      [0, 0],
      [0.5, 0],
      [1, 0],
      [1, 1],
    ]),
    undefined,
  )
})

test('polygonMisfit() names what is wrong and where', () => {
  const cases: [Point[], string][] = [
    [
      [
        [0, 0],
        [1, 1],
      ],
      'has 2 points, at least 3 are needed',
    ],
    [
      [
        [0.1, 0.1],
        [0.9, 0.9],
        [0.9, 0.1],
        [0.1, 0.9],
      ],
      'crosses itself: side 1–2 and side 3–4 meet',
    ],
    [
      [
        [0, 0],
        [0, 0],
        [1, 0],
        [1, 1],
      ],
      'has point 1 twice, at 0, 0',
    ],
    [
      [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 0],
      ],
      'has point 4 twice, at 0, 0',
    ],
    [
      [
        [0, 0],
        [1, 0],
        [0.5, 0],
      ],
      'crosses itself: side 1–2 and side 2–3 meet',
    ],
    [
      [
        [0, 0],
        [1, 0],
        [1, 1],
        [0.5, 0],
        [0, 1],
      ],
      'crosses itself: side 1–2 and side 3–4 meet',
    ],
    [
      [
        [0, 0],
        [1e-4, 0],
        [0, 1e-4],
      ],
      'encloses no area',
    ],
    // A spike: out and back on the same way.
    [
      [
        [0, 0],
        [0.5, 0],
        [0.9, 0],
        [0.5, 0],
        [0.5, 0.5],
      ],
      'crosses itself: side 1–2 and side 3–4 meet',
    ],
  ]
  for (const [polygon, misfit] of cases) assert.equal(polygonMisfit(polygon), misfit)
})

test('polygonMisfit() takes every star around a point, wherever it begins', () => {
  const radius = fc.double({ min: 0.1, max: 0.5, noNaN: true })
  fc.assert(
    fc.property(fc.array(radius, { minLength: 3, maxLength: 24 }), fc.nat(), (radii, first) => {
      const star = radii.map((r, i): Point => {
        const angle = (2 * Math.PI * i) / radii.length
        return [0.5 + r * Math.cos(angle), 0.5 + r * Math.sin(angle)]
      })
      const from = first % star.length
      assert.equal(polygonMisfit([...star.slice(from), ...star.slice(0, from)]), undefined)
    }),
  )
})

test('areasMisfit() leads to the drawing that is wrong', () => {
  const zone = { name: 'gate', polygon: square.map((point) => [...point]) }
  const line = {
    name: 'door',
    points: [
      [0, 0.5],
      [1, 0.5],
    ],
  }
  const cases: [Areas, string | undefined][] = [
    [{}, undefined],
    [{ zones: [zone], lines: [line], masks: [zone] }, undefined],
    [{ zones: [zone, zone] }, '/zones/1/name "gate" is there twice'],
    [
      {
        masks: [
          zone,
          {
            ...zone,
            name: 'b',
            polygon: [
              [0, 0],
              [1, 0],
            ],
          },
        ],
      },
      '/masks/1/polygon has 2 points, at least 3 are needed',
    ],
    [
      {
        lines: [
          {
            ...line,
            points: [
              [0, 0],
              [0, 0],
            ],
          },
        ],
      },
      '/lines/0/points has point 1 twice, at 0, 0',
    ],
  ]
  for (const [areas, misfit] of cases) assert.equal(areasMisfit(areas), misfit)
})

test('configMisfit() names stream and place; the schema bounds every list', () => {
  const stream = { streamId: 'a', source: 'demo:1' }
  const zones = [
    {
      name: 'z',
      polygon: [
        [0, 0],
        [1, 0],
        [0.5, 0],
      ],
    },
  ]
  assert.equal(
    configMisfit({ streams: [stream, { ...stream, streamId: 'b', zones }] }),
    '/streams/1/zones/0/polygon crosses itself: side 1–2 and side 2–3 meet',
  )
  assert.equal(configMisfit({ streams: [stream, stream] }), 'stream "a" is there twice')
  const furtherModels = [{ model: 'colour' }, { model: 'colour' }]
  assert.equal(
    configMisfit({ streams: [{ ...stream, furtherModels }] }),
    '/streams/0/furtherModels/1/model "colour" is there twice',
  )
  const misfit = (other: object) => misfitOf(DeviceConfig, { streams: [{ ...stream, ...other }] })
  const zone = { name: 'z', polygon: square }
  const many = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one)
  assert.equal(misfit({ zones: [zone], thresholds: { person: 0.6 } }), undefined)
  for (const [other, reason] of [
    [{ zones: [{ ...zone, dwelSeconds: 5 }] }, /did you mean "dwellSeconds"/],
    [{ zones: many(33, zone) }, /\/zones must not have more than 32 items/],
    [{ masks: [{ name: 'm', polygon: many(65, [0, 0]) }] }, /\/polygon must not have more than 64/],
    [{ masks: [{ name: ' ', polygon: square }] }, /\/masks\/0\/name/],
    [{ zones: [{ name: 'z', polygon: [...square, [1.5, 0]] }] }, /\/polygon\/4\/0 must be <= 1/],
    [{ lines: [{ name: 'l', points: [[0, 0]] }] }, /\/points must not have fewer than 2/],
    [
      {
        lines: [
          {
            name: 'l',
            points: [
              [0, 0],
              [1, 1],
            ],
            direction: 'up',
          },
        ],
      },
      /\/direction/,
    ],
    [{ furtherModels: many(4, { model: 'm' }) }, /\/furtherModels must not have more than 3/],
    [{ thresholds: { person: 2 } }, /\/thresholds\/person must be <= 1/],
    [
      { thresholds: Object.fromEntries(many(201, 0).map((_, i) => [`l${i}`, 0.5])) },
      /\/thresholds must not have more than 200/,
    ],
  ] as const) {
    assert.match(misfit(other) ?? '', reason)
  }
})
