import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gateHeight, gateWidth } from '../cameras/camera.ts'
import { MotionGate } from './motion-gate.ts'

const options = {
  enabled: true,
  levelMin: 18,
  areaMin: 0.002,
  holdMs: 2000,
  idleIntervalMs: 10_000,
}

/** Approximately normal noise for a printed seed. */
function noiseOf(seed: number): () => number {
  let state = seed >>> 0
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  return () => uniform() + uniform() + uniform() + uniform() - 2
}

/** A textured scene: brightness `light`, noise of deviation `sigma`, and perhaps a bright square. */
function picture(o: {
  noise: () => number
  sigma?: number
  light?: number
  square?: { x: number; y: number; size: number }
}): Uint8Array {
  const grey = new Uint8Array(gateWidth * gateHeight)
  const { sigma = 3, light = 0, square } = o
  for (let y = 0, i = 0; y < gateHeight; y++) {
    for (let x = 0; x < gateWidth; x++, i++) {
      const inside =
        square && Math.abs(x - square.x) < square.size && Math.abs(y - square.y) < square.size
      const level = inside ? 190 : 90 + 30 * Math.sin(x / 7) * Math.cos(y / 5)
      grey[i] = Math.max(0, Math.min(255, level + light + o.noise() * sigma * 1.73))
    }
  }
  return grey
}

test('MotionGate lets a noisy still scene rest but looks at it every ten seconds', () => {
  const noise = noiseOf(1)
  const gate = new MotionGate(options)
  const looked: number[] = []
  for (let at = 0; at <= 30_000; at += 200) {
    const { analyse, because } = gate.look(picture({ noise, sigma: 6 }), at)
    if (analyse) looked.push(at)
    assert.ok(!analyse || because === 'idle', `${because} at ${at}`)
  }
  assert.deepEqual(looked, [0, 10_000, 20_000, 30_000])
})

test('MotionGate opens for a small moving thing and closes two seconds after it is gone', () => {
  const noise = noiseOf(2)
  const gate = new MotionGate({ ...options, idleIntervalMs: 0 })
  const because: [number, string][] = []
  for (let at = 0; at <= 12_000; at += 200) {
    const moving = at >= 4000 && at < 6000
    const square = { x: 20 + (at - 4000) / 25, y: 40, size: 4 }
    const decision = gate.look(picture({ noise, ...(moving && { square }) }), at)
    if (because.at(-1)?.[1] !== decision.because) because.push([at, decision.because])
  }
  assert.deepEqual(because.map(([, b]) => b).slice(0, 3), ['still', 'motion', 'hold'])
  assert.equal(because[1]?.[0], 4000)
  const closedAt = because.at(-1)!
  assert.equal(closedAt[1], 'still')
  assert.ok(closedAt[0] >= 7800 && closedAt[0] <= 9000, `closed at ${closedAt[0]}`)
})

test('MotionGate ignores light that changes slowly, and as a whole', () => {
  const noise = noiseOf(3)
  const gate = new MotionGate({ ...options, idleIntervalMs: 0 })
  for (let at = 0; at <= 60_000; at += 200) {
    // A cloud passes within three seconds; then dusk falls.
    const cloud = at > 10_000 ? -25 * Math.min(1, (at - 10_000) / 3000) : 0
    const dusk = at > 20_000 ? -(at - 20_000) / 1500 : 0
    const { because } = gate.look(picture({ noise, light: cloud + dusk }), at)
    assert.equal(because, 'still', `at ${at}`)
  }
})

test('MotionGate takes a scene cut for one motion, not for a lasting one', () => {
  const noise = noiseOf(4)
  const gate = new MotionGate({ ...options, idleIntervalMs: 0 })
  const flat = new Uint8Array(gateWidth * gateHeight).map((_, i) => ((i >> 3) % 2 ? 220 : 30))
  let motions = 0
  for (let at = 0; at <= 10_000; at += 200) {
    const { because } = gate.look(at < 5000 ? picture({ noise }) : flat, at)
    if (because === 'motion') motions++
  }
  assert.equal(motions, 1)
})

test('MotionGate takes in what was put down', () => {
  const noise = noiseOf(5)
  const gate = new MotionGate({ ...options, idleIntervalMs: 0 })
  let last = 0
  for (let at = 0; at <= 180_000; at += 500) {
    const square = { x: 80, y: 40, size: 6 }
    const { because } = gate.look(picture({ noise, ...(at > 5000 && { square }) }), at)
    if (because === 'motion') last = at
  }
  assert.ok(last > 6000 && last < 120_000, `still motion at ${last}`)
})

test('MotionGate that is off analyses everything', () => {
  const gate = new MotionGate({ ...options, enabled: false })
  const grey = new Uint8Array(gateWidth * gateHeight)
  assert.deepEqual(gate.look(grey, 0), { analyse: true, because: 'off', area: 0 })
  assert.equal(gate.look(grey, 1).analyse, true)
})

test('MotionGate says in which cells something moves', () => {
  const noise = noiseOf(7)
  const gate = new MotionGate(options)
  assert.equal(gate.moving, undefined)
  for (let at = 0; at < 4000; at += 200) gate.look(picture({ noise }), at)
  gate.look(picture({ noise, square: { x: 155, y: 45, size: 8 } }), 4000)
  const { columns, rows, cells } = gate.moving!
  assert.deepEqual([columns, rows, cells.length], [16, 9, 144])
  const moving = Array.from(cells.entries()).flatMap(([cell, moves]) => (moves ? cell : []))
  // The square reaches from 148 to the rim and from 38 to 52: of the corners too little is in a cell.
  assert.deepEqual(moving, [3 * 16 + 15, 4 * 16 + 14, 4 * 16 + 15, 5 * 16 + 15])
})
