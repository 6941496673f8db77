/**
 * What an optimizer does to each number of its vectors, written once as formulas and emitted twice: for four numbers at
 * a time, and for the one to three that remain. Every operation rounds as IEEE 754 says, so the same numbers come out on
 * every machine, wherever a vector is cut.
 */
import {
  type Bytes,
  f64,
  f64x2,
  fourNumbers,
  get,
  i32,
  type Lane,
  loop,
  oneNumber,
  set,
  splat,
  upperHalf,
  type WasmFunction,
  type WasmType,
} from './assembler.ts'

/** Names of vectors, of numbers that are the same for all elements, and of values that a formula uses again. */
type Names = {
  readonly vectors: readonly string[]
  readonly numbers: readonly string[]
  readonly values: readonly string[]
}
type Place = (name: string) => Bytes
type Formula = (lane: Lane, place: Place) => Bytes

const of =
  (name: string): Formula =>
  (_, place) =>
    place(name)
const binary =
  (operation: 'add' | 'sub' | 'mul' | 'div') =>
  (a: Formula, b: Formula): Formula =>
  (lane, place) => [...a(lane, place), ...b(lane, place), ...lane[operation]]
const [plus, minus, times, over] = [binary('add'), binary('sub'), binary('mul'), binary('div')]
const root =
  (a: Formula): Formula =>
  (lane, place) => [...a(lane, place), ...lane.sqrt]

/** `[name, formula]`: a value or a vector that becomes what the formula says. */
type Assignment = readonly [string, Formula]

/**
 * A function `name(vector addresses…, count, numbers…)` that does the assignments in order for every element.
 * Assigning to a vector stores; its old number is what the formula reads.
 */
function elementwise(name: string, names: Names, assignments: readonly Assignment[]): WasmFunction {
  const { vectors, numbers, values } = names
  const count = vectors.length
  const firstNumber = count + 1
  const parameters: WasmType[] = [
    ...vectors.map(() => 'i32' as const),
    'i32',
    ...numbers.map(() => 'f32' as const),
  ]
  const offset = parameters.length
  const end = offset + 1
  const firstSplat = end + 1
  const firstValue = { v128: firstSplat + numbers.length, f32: 0 }
  firstValue.f32 = firstValue.v128 + values.length
  const address = (vector: string): Bytes => [
    ...get(vectors.indexOf(vector)),
    ...get(offset),
    ...i32.add,
  ]
  const emit = (lane: Lane): Bytes => {
    const isVector = lane.type === 'v128'
    const valueAt = (value: string) =>
      (isVector ? firstValue.v128 : firstValue.f32) + values.indexOf(value)
    const place: Place = (one) => {
      if (vectors.includes(one)) return [...address(one), ...lane.load]
      if (values.includes(one)) return get(valueAt(one))
      return get((isVector ? firstSplat : firstNumber) + numbers.indexOf(one))
    }
    return assignments.flatMap(([target, formula]) =>
      vectors.includes(target)
        ? [...address(target), ...formula(lane, place), ...lane.store]
        : [...formula(lane, place), ...set(valueAt(target))],
    )
  }
  return {
    name,
    parameters,
    locals: [
      ...(['i32', 'i32'] as const),
      ...numbers.map(() => 'v128' as const),
      ...values.map(() => 'v128' as const),
      ...values.map(() => 'f32' as const),
    ],
    body: [
      ...numbers.flatMap((_, i) => [...get(firstNumber + i), ...splat, ...set(firstSplat + i)]),
      ...[...bytesOf(count, -4), ...set(end)],
      ...loop(offset, end, 16, emit(fourNumbers)),
      ...[...bytesOf(count, -1), ...set(end)],
      ...loop(offset, end, 4, emit(oneNumber)),
    ],
  }
}

/** `(local & mask) × 4`: how many bytes so many float32 take. */
const bytesOf = (local: number, mask: number): Bytes => [
  ...[...get(local), ...i32.constant(mask), ...i32.and],
  ...[...i32.constant(2), ...i32.shiftLeft],
]

export type UpdateForm = {
  readonly rule: 'sgd' | 'sgd-nesterov' | 'adam' | 'adamw'
  /** Each element's update is multiplied by a number of its own. */
  readonly scaled: boolean
  /** The average of the parameters is kept in the same pass. */
  readonly averaged: boolean
}

/** The vectors of `update`, in the order of its addresses. */
export const vectorsOf = ({ rule, scaled, averaged }: UpdateForm): readonly string[] => [
  ...['parameters', 'gradients', 'first'],
  ...(rule.startsWith('adam') ? ['second'] : []),
  ...(scaled ? ['scale'] : []),
  ...(averaged ? ['average'] : []),
]

/** Its numbers, in order. What a rule does not need it does not take. */
export const numbersOf = ({ rule, averaged }: UpdateForm): readonly string[] => [
  ...['rate', 'gradientScale', 'weightDecay'],
  ...(rule.startsWith('adam')
    ? ['beta1', 'rest1', 'beta2', 'rest2', 'unbias1', 'unbias2', 'epsilon']
    : ['momentum']),
  ...(averaged ? ['averageRest'] : []),
]

/**
 * One step of an optimizer over a stretch of its vectors.
 * sgd: m ← momentum·m + g; p ← p − rate·s·m (nesterov: g + momentum·m), where g has weightDecay·p in it.
 * adam: m, v as in Kingma & Ba; p ← p − rate·s·(m·unbias1 / (√(v·unbias2) + ε)); adamw adds weightDecay·p to the bracket.
 * average ← average + averageRest·(p − average).
 */
export function updateKernel(form: UpdateForm): WasmFunction {
  const [p, g] = [of('parameters'), of('gradient')]
  const decay = times(of('weightDecay'), p)
  const scaledGradient = times(of('gradients'), of('gradientScale'))
  const adam = form.rule.startsWith('adam')
  const gradient: Assignment = [
    'gradient',
    form.rule === 'adamw' ? scaledGradient : plus(scaledGradient, decay),
  ]
  const moments: Assignment[] = adam
    ? [
        ['moment', plus(times(of('beta1'), of('first')), times(of('rest1'), g))],
        ['first', of('moment')],
        ['square', plus(times(of('beta2'), of('second')), times(times(of('rest2'), g), g))],
        ['second', of('square')],
      ]
    : [
        ['moment', plus(times(of('momentum'), of('first')), g)],
        ['first', of('moment')],
      ]
  let direction: Formula
  if (adam) {
    const width = plus(root(times(of('square'), of('unbias2'))), of('epsilon'))
    direction = over(times(of('moment'), of('unbias1')), width)
  } else if (form.rule === 'sgd-nesterov') {
    direction = plus(g, times(of('momentum'), of('moment')))
  } else direction = of('moment')
  if (form.rule === 'adamw') direction = plus(direction, decay)
  if (form.scaled) direction = times(of('scale'), direction)
  const next: Assignment[] = [
    ['next', minus(p, times(of('rate'), direction))],
    ['parameters', of('next')],
  ]
  const average: Assignment[] = form.averaged
    ? [['average', plus(of('average'), times(of('averageRest'), minus(of('next'), of('average'))))]]
    : []
  return elementwise(
    'update',
    {
      vectors: vectorsOf(form),
      numbers: numbersOf(form),
      values: ['gradient', 'moment', ...(adam ? ['square'] : []), 'next'],
    },
    [gradient, ...moments, ...next, ...average],
  )
}

/** `add(to, from, count)`: to ← to + from. */
export const addKernel = (): WasmFunction =>
  elementwise('add', { vectors: ['to', 'from'], numbers: [], values: [] }, [
    ['to', plus(of('to'), of('from'))],
  ])

/** `sumOfSquares(vector, count)` in float64: four sums side by side, then those of what remains. */
export function sumOfSquaresKernel(): WasmFunction {
  const [vector, count, offset, end, low, high, four, sum, one] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8,
  ] as const
  const address = [...get(vector), ...get(offset), ...i32.add]
  const gather = (into: number, two: Bytes): Bytes => [
    ...[...two, ...set(four)],
    ...[...get(into), ...get(four), ...get(four), ...f64x2.mul, ...f64x2.add, ...set(into)],
  ]
  const lanes = (from: number): Bytes =>
    ([0, 1] as const).flatMap((lane) => [
      ...get(sum),
      ...[...get(from), ...f64x2.lane(lane)],
      ...[...f64.add, ...set(sum)],
    ])
  const loaded: Bytes = [...address, ...fourNumbers.load]
  return {
    name: 'sumOfSquares',
    parameters: ['i32', 'i32'],
    result: 'f64',
    locals: ['i32', 'i32', 'v128', 'v128', 'v128', 'f64', 'f64'],
    body: [
      ...[...bytesOf(count, -4), ...set(end)],
      ...loop(offset, end, 16, [
        ...gather(low, [...loaded, ...f64x2.ofF32]),
        ...gather(high, [...loaded, ...loaded, ...upperHalf, ...f64x2.ofF32]),
      ]),
      ...lanes(low),
      ...lanes(high),
      ...[...bytesOf(count, -1), ...set(end)],
      ...loop(offset, end, 4, [
        ...[...address, ...oneNumber.load, ...f64.ofF32, ...set(one)],
        ...[...get(sum), ...get(one), ...get(one), ...f64.mul, ...f64.add, ...set(sum)],
      ]),
      ...get(sum),
    ],
  }
}
