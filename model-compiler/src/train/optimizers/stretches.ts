/** Which parameters learn at which rate: groups of a recipe become stretches of the flat vector. Pure. */
import { nearestName } from '@edgeloop/protocol/nearest'
import type { ParameterGroup, Recipe } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'
import type { Stretch } from './optimizer.ts'

/** A parameter where it lies in the flat vector. */
export type PlacedParameter = {
  readonly name: string
  readonly shape: readonly number[]
  readonly offset: number
  readonly elements: number
  /** Along which each slice makes one output channel. */
  readonly channelAxis: number
}

/**
 * Neighbours of one rate are one stretch. Weight decay is for weights: biases, scales and shifts, which have one axis,
 * are left alone unless their group names a decay.
 * @throws {TrainError} when a group matches no parameter
 */
export function stretchesOf(
  parameters: readonly PlacedParameter[],
  optimizer: Pick<Recipe['optimizer'], 'groups' | 'weightDecay'>,
): readonly Stretch[] {
  for (const { match } of optimizer.groups) {
    if (parameters.some(({ name }) => matches(name, match))) continue
    const names = parameters.map(({ name }) => name)
    const near = nearestName(match, names)
    throw new TrainError(
      `Cannot set a rate for parameters "${match}": none of those that are trained has such a name`,
      near === undefined ? `some are ${names.slice(0, 5).join(', ')}` : `did you mean "${near}"?`,
    )
  }
  const stretches: Stretch[] = []
  for (const parameter of parameters.toSorted((a, b) => a.offset - b.offset)) {
    const { offset, elements, shape } = parameter
    const group = optimizer.groups.find(({ match }) => matches(parameter.name, match))
    const rate = group?.rate ?? 1
    const weightDecay = group?.weightDecay ?? (shape.length > 1 ? optimizer.weightDecay : 0)
    const last = stretches.at(-1)
    const joins =
      last?.rate === rate &&
      last.weightDecay === weightDecay &&
      last.offset + last.elements === offset
    if (joins) stretches[stretches.length - 1] = { ...last, elements: last.elements + elements }
    else stretches.push({ offset, elements, rate, weightDecay })
  }
  return stretches
}

/** `*` stands for anything. */
function matches(name: string, pattern: ParameterGroup['match']): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}

/** Of a layer's own size, the least that one of its channels counts as. */
const channelFloor = 0.05
/** Size of what is all zero. */
const sizeOfZeros = 0.1

/**
 * How large each element's channel is at first, as root of the mean square. Where BatchNorm is folded into weights, their
 * channels differ a hundredfold in size, and a step that is right for the large ones destroys the small ones: a step as a
 * share of this is right for all. One-dimensional parameters count as one channel.
 */
export function relativeScale(
  parameters: readonly PlacedParameter[],
  values: Float32Array,
): Float32Array {
  const scale = new Float32Array(values.length)
  for (const { shape, offset, elements, channelAxis } of parameters) {
    const own = values.subarray(offset, offset + elements)
    const sizeOfAll = rootMeanSquare(own)
    const whole = sizeOfAll === 0 ? sizeOfZeros : sizeOfAll
    const into = scale.subarray(offset, offset + elements)
    if (shape.length < 2) {
      into.fill(whole)
      continue
    }
    const channels = shape[channelAxis]!
    const inner = shape.slice(channelAxis + 1).reduce((product, one) => product * one, 1)
    const squares = new Float64Array(channels)
    const channelOf = (i: number): number => Math.floor(i / inner) % channels
    for (let i = 0; i < elements; i += 1) squares[channelOf(i)]! += own[i]! ** 2
    const sizes = squares.map((sum) =>
      Math.max(Math.sqrt((sum * channels) / elements), channelFloor * whole),
    )
    for (let i = 0; i < elements; i += 1) into[i] = sizes[channelOf(i)]!
  }
  return scale
}

function rootMeanSquare(values: Float32Array): number {
  const sum = values.reduce((before, one) => before + one ** 2, 0)
  return Math.sqrt(sum / Math.max(1, values.length))
}
