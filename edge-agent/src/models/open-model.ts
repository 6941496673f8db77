/**
 * Opens a model: loads the file, binds it to a layout, and refuses whatever does not fit before the
 * first frame is looked at.
 */
import {
  ModelError,
  type Runtime,
  type RuntimeSession,
  type SessionOptions,
  type TensorInfo,
} from '../runtimes/runtime.ts'
import type { InputSpec } from './canvas.ts'
import type { Description } from './description.ts'
import { readDescription } from './description-file.ts'
import { inputSpecOf, shown } from './input-spec.ts'
import { layoutNamed, layouts } from './layouts/index.ts'
import type { Decoder, Layout, ModelShape, Outputs } from './layouts/layout.ts'
import { LoadedModel, type LoadedParts } from './loaded-model.ts'
import type { Model, ModelSource } from './model.ts'
import { labelsOf } from './model-labels.ts'
import { tensorFeeder } from './tensor-feeder.ts'

/**
 * Loads a model and runs it once on an empty canvas, so that its real shapes are known and the first
 * frame is as fast as the others.
 * @param session one thread unless measured otherwise
 * @throws {ModelError} saying which file, why, and what was expected
 */
export async function openModel(
  source: ModelSource,
  runtime: Runtime,
  session: SessionOptions = { threads: 1 },
): Promise<Model> {
  const description = await readDescription(source.file, source.description)
  const wish = source.layout ?? description.layout
  const named = wish === undefined ? undefined : layoutNamed(wish)
  await using stack = new AsyncDisposableStack()
  const opened = stack.use(await runtime.open(source.file, session))
  const layout = named ?? refuseWithoutLayout(source.file, opened, description)
  const bound = await bind(source.file, opened, layout, description)
  const labels = await labelsOf(source, description, layout, bound.decoder.classes)
  stack.move()
  const { name } = source
  const { task } = layout
  return new LoadedModel({ name, session: opened, layout: layout.name, task, labels, ...bound })
}

/** What a session and a layout make together. */
type Bound = Pick<LoadedParts, 'spec' | 'feed' | 'decoder'>

async function bind(
  file: string,
  session: RuntimeSession,
  layout: Layout,
  description: Description,
): Promise<Bound> {
  const what = `Cannot use model "${file}" with layout ${layout.name}`
  try {
    const spec = inputSpecOf(session.inputs, layout.preset, description.input)
    const feed = tensorFeeder(session.inputs[0]?.name ?? '', spec)
    const results = await session.run(feed(emptyCanvas(spec)))
    const outputs = session.outputs.map((info) => realShape(info, results))
    const shape = { ...spec, outputs, strides: description.strides }
    const decoder = layout.check(shape)
    if ('expected' in decoder) {
      const has = outputs.map(shown).join(', ')
      throw new Error(`expected ${decoder.expected}, it has ${has}${fittingHint(shape)}`)
    }
    const odd = outputs.find(({ type }) => type !== 'float32')
    if (odd) throw new Error(`its output "${odd.name}" is of type ${odd.type}, expected float32`)
    if ('decode' in decoder) checkScores(decoder, results)
    return { spec, feed, decoder }
  } catch (cause) {
    throw new ModelError(`${what}: ${(cause as Error).message}`, { cause })
  }
}

function emptyCanvas({ width, height, pad }: InputSpec): Uint8Array {
  return new Uint8Array(width * height * 3).fill(pad)
}

/** An output with the shape it really has, where the file leaves some of it free. */
function realShape(info: TensorInfo, results: Outputs): TensorInfo {
  const result = results[info.name]
  return result ? { name: info.name, type: result.type, shape: result.shape } : info
}

/** A float's rounding above 1 is none of the model's faults. */
const scoreSlack = 1e-3

/** @throws {Error} when what should be scores is none: usually the last sigmoid was not exported */
function checkScores(decoder: Decoder, results: Outputs): void {
  decoder.scores(results, (score) => {
    if (score >= -scoreSlack && score <= 1 + scoreSlack) return
    const shown = Number.isFinite(score) ? score.toFixed(2) : score
    throw new Error(
      `its scores must lie within 0..1, it gave ${shown}; export it with the sigmoid at its end`,
    )
  })
}

function fittingLayouts(shape: ModelShape): string[] {
  const fitting = layouts.filter((layout) => !('expected' in layout.check(shape)))
  return fitting.map(({ name }) => name)
}

function fittingHint(shape: ModelShape): string {
  const fitting = fittingLayouts({ ...shape, strides: undefined })
  return fitting.length > 0 ? `; layout ${fitting.join(' or ')} fits it` : ''
}

function refuseWithoutLayout(
  file: string,
  session: RuntimeSession,
  description: Description,
): never {
  const names = layouts.map(({ name }) => name)
  let fitting: string[] = []
  try {
    // Which size the canvas has does not depend on the layout, so any preset will do.
    const spec = inputSpecOf(session.inputs, layouts[0]!.preset, description.input)
    fitting = fittingLayouts({ ...spec, outputs: session.outputs })
  } catch {
    // A model that no layout can feed gets the general answer.
  }
  const way =
    fitting.length > 0
      ? `--layout ${fitting.join(' or ')} fits it`
      : `--layout ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  throw new ModelError(`Cannot use model "${file}": it does not say its layout; ${way}`)
}
