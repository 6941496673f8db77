/** Runs beside each other: what each was asked and came to, as rows of a table. Pure. */
import type { RunDetail } from '@edgeloop/protocol'
import { sayDuration } from '../shell/say.ts'
import { sayFigure } from './run-words.ts'

export type CompareRow = {
  readonly name: string
  /** One for each run, in their order. */
  readonly values: readonly string[]
  /** Of figures: by how much each differs from the first run; empty for the first, and where one is missing. */
  readonly deltas?: readonly string[]
  readonly differs: boolean
}

export type CompareGroup = { readonly title: string; readonly rows: readonly CompareRow[] }

/** @param details the first is what the others are compared with */
export function compareRuns(details: readonly RunDetail[]): CompareGroup[] {
  const facts = (title: string, read: (detail: RunDetail) => string): CompareRow =>
    row(title, details.map(read))
  const recipes = details.map(({ recipe }) => flat(recipe))
  const keys = [...new Set(recipes.flatMap((recipe) => [...recipe.keys()]))].sort()
  const figures = details.map(figuresOf)
  const names = [...new Set(figures.flatMap((one) => Object.keys(one)))].sort()
  return [
    {
      title: 'What was asked',
      rows: [
        facts('dataset', ({ run }) => `${run.dataset.name} v${run.dataset.version}`),
        facts('fold', ({ run }) => (run.fold === null ? '–' : String(run.fold))),
        facts('parent', ({ run }) => run.parent),
        facts('model', ({ run }) => run.model),
        facts('seed', ({ run }) => String(run.seed)),
        facts('version', ({ run }) => run.codeVersion),
      ],
    },
    {
      title: 'Recipe',
      rows: keys.map((key) =>
        row(
          key,
          recipes.map((recipe) => recipe.get(key) ?? '–'),
        ),
      ),
    },
    {
      title: 'What came of it',
      rows: [
        facts('state', ({ run }) => run.state),
        facts('steps', ({ run }) => `${run.step} of ${run.steps}`),
        facts('time', ({ run }) => sayDuration(run.activeMs)),
        facts('images per second', ({ run }) => sayFigure(Math.round(run.imagesPerSecond))),
        ...names.map((name) => figureRow(name, figures)),
      ],
    },
  ]
}

const row = (name: string, values: readonly string[]): CompareRow => ({
  name,
  values,
  differs: new Set(values).size > 1,
})

function figureRow(name: string, figures: readonly Readonly<Record<string, number>>[]): CompareRow {
  const base = figures[0]?.[name]
  const deltas = figures.map((one, i) => {
    const value = one[name]
    if (i === 0 || value === undefined || base === undefined) return ''
    const by = value - base
    return by === 0 ? '±0' : `${by > 0 ? '+' : '−'}${sayFigure(Math.abs(by))}`
  })
  const values = figures.map((one) => {
    const value = one[name]
    return value === undefined ? '–' : sayFigure(value)
  })
  return { ...row(name, values), deltas }
}

/** On the test samples where there are any, else the newest on the validation samples. */
function figuresOf({ evaluations }: RunDetail): Record<string, number> {
  const on = (which: string) => evaluations.findLast((one) => one.on === which)
  const [word, found] = on('test') ? ['test', on('test')] : ['validation', on('validation')]
  return Object.fromEntries(
    Object.entries(found?.figures ?? {}).map(([name, value]) => [`${word}: ${name}`, value]),
  )
}

/** Keys with dots, values as JSON. */
function flat(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return new Map([[path, JSON.stringify(value)]])
  }
  const inner = Object.entries(value).flatMap(([key, held]) => [
    ...flat(held, path === '' ? key : `${path}.${key}`),
  ])
  return new Map(inner)
}
