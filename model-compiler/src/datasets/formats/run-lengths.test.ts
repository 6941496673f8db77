/** Masks of runs: what they say is unpacked, traced and filled again; what is damaged ends in a sentence. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { boxRuns, readRunLengths, unpackMask } from './run-lengths.ts'
import { cornersMax, traceMask } from './trace-mask.ts'

/** As pycocotools writes it (maskApi.c, rleToString): five bits a character, and from the fourth run on the difference. */
function packed(counts: readonly number[]): string {
  let text = ''
  for (const [at, count] of counts.entries()) {
    let left = at > 2 ? count - counts[at - 2]! : count
    for (let more = true; more; ) {
      const low = left & 31
      left >>= 5
      more = (low & 16) !== 0 ? left !== -1 : left !== 0
      text += String.fromCharCode(48 + (more ? low | 32 : low))
    }
  }
  return text
}

/** Rows of a picture, `#` inside. */
function runsOf(rows: readonly string[]): number[] {
  const [height, width] = [rows.length, rows[0]!.length]
  const counts = [0]
  let inside = false
  for (let x = 0; x < width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      if ((rows[y]![x] === '#') !== inside) {
        inside = !inside
        counts.push(0)
      }
      counts[counts.length - 1]! += 1
    }
  }
  return counts
}

const sizeOf = (rows: readonly string[]) => [rows.length, rows[0]!.length]

/** Whether the middle of a pixel is within a ring: crossings of a ray to the right. */
function isWithin(ring: readonly (readonly [number, number])[], x: number, y: number): boolean {
  let inside = false
  for (const [at, [ax, ay]] of ring.entries()) {
    const [bx, by] = ring[(at + 1) % ring.length]!
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside
  }
  return inside
}

function filled(
  rings: readonly (readonly (readonly [number, number])[])[],
  [height = 0, width = 0]: readonly number[],
): string[] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) =>
      rings.some((ring) => isWithin(ring, x + 0.5, y + 0.501)) ? '#' : '.',
    ).join(''),
  )
}

function ringsOf(given: { counts: unknown; size: unknown }) {
  const read = readRunLengths(given)
  assert('counts' in read, JSON.stringify(read))
  return traceMask(unpackMask(read)!)!
}

test('a mask as numbers and as text', () => {
  // Columns 1 to 3 of rows 1 and 2.
  const rows = ['.....', '.###.', '.###.', '.....']
  const counts = [5, 2, 2, 2, 2, 2, 5]
  assert.deepEqual(runsOf(rows), counts)
  for (const form of [counts, packed(counts)]) {
    assert.deepEqual(ringsOf({ counts: form, size: [4, 5] }), [
      [
        [1, 1],
        [4, 1],
        [4, 3],
        [1, 3],
      ],
    ])
  }
})

test('parts that touch at a corner are two, and a hole stays empty', () => {
  assert.equal(ringsOf({ counts: runsOf(['#.', '.#']), size: [2, 2] }).length, 2)
  const rows = ['#####', '#...#', '#.#.#', '#...#', '#####']
  const rings = ringsOf({ counts: runsOf(rows), size: [5, 5] })
  assert.equal(rings.length, 2, 'the ring, and what lies in its hole')
  assert.deepEqual(filled(rings, [5, 5]), rows)
})

test('any mask filled from its outlines is the mask, packed or not', () => {
  const picture = fc
    .tuple(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.double({ min: 0.2, max: 0.8, noNaN: true }),
    )
    .chain(([width, height, share]) =>
      fc.array(
        fc
          .array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: width, maxLength: width })
          .map((row) => row.map((value) => (value < share ? '#' : '.')).join('')),
        { minLength: height, maxLength: height },
      ),
    )
  fc.assert(
    fc.property(picture, fc.boolean(), (rows, text) => {
      const counts = runsOf(rows)
      const rings = ringsOf({ counts: text ? packed(counts) : counts, size: sizeOf(rows) })
      assert.deepEqual(filled(rings, sizeOf(rows)), rows)
    }),
    { numRuns: 400 },
  )
})

test('a box as runs is that box', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(7),
      fc.nat(7),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      (width, height, left, top, across, down) => {
        fc.pre(left + across <= width && top + down <= height)
        const rows = Array.from({ length: height }, (_, y) =>
          Array.from({ length: width }, (_, x) =>
            x >= left && x < left + across && y >= top && y < top + down ? '#' : '.',
          ).join(''),
        )
        assert.deepEqual(boxRuns([left, top, across, down], width, height), runsOf(rows))
      },
    ),
    { numRuns: 200 },
  )
})

test('what is no mask of the picture is refused with the reason', () => {
  const problem = (counts: unknown, size: unknown) => {
    const read = readRunLengths({ counts, size })
    return 'problem' in read ? read.problem : assert.fail('it was read')
  }
  assert.match(problem([1, 2], undefined), /without a size/)
  assert.match(problem([1, 2], [2, 0]), /without a size/)
  assert.match(problem([1, 2], [1e9, 1e9]), /without a size/)
  assert.match(problem(7, [2, 2]), /without runs/)
  assert.match(problem([1, -1, 4], [2, 2]), /cannot be read/)
  assert.match(problem([1, 2], [2, 2]), /3 pixels for a picture of 2×2/)
  assert.match(problem('ü', [2, 2]), /cannot be read/)
  assert.match(problem('oooooooooooooo', [2, 2]), /cannot be read/)
  assert.match(problem(Array(1_000_001).fill(0), [2, 2]), /more than 1000000 runs/)
  // A mask of noise is no outline of anything.
  const side = 200
  const noise = Array.from({ length: side }, (_, y) =>
    Array.from({ length: side }, (_, x) => ((x + y) % 2 === 0 ? '#' : '.')).join(''),
  )
  const read = readRunLengths({ counts: runsOf(noise), size: [side, side] })
  assert('counts' in read)
  assert.ok(side * side * 2 > cornersMax)
  assert.equal(traceMask(unpackMask(read)!), undefined)
})

test('whatever stands in a file ends in a mask or in a sentence', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.array(fc.integer()), fc.anything()),
      fc.anything(),
      (counts, size) => {
        const read = readRunLengths({ counts, size })
        if ('problem' in read) assert.match(read.problem, /^has a mask/)
        else
          assert.equal(
            read.counts.reduce((sum, one) => sum + one, 0),
            read.width * read.height,
          )
      },
    ),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.nat(20), fc.nat(20), (counts, width, height) => {
      const read = readRunLengths({ counts, size: [height, width] })
      if ('counts' in read) traceMask(unpackMask(read)!)
    }),
    { numRuns: 500 },
  )
})
