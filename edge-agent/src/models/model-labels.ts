/** The labels of a model: asked for, described, or fixed by its layout; as many as it has classes. */
import { ModelError } from '../runtimes/runtime.ts'
import type { Description } from './description.ts'
import { checkedLabels, type Labels, readLabels } from './labels.ts'
import type { Layout } from './layouts/layout.ts'
import type { ModelSource } from './model.ts'

/**
 * @param classes how many the model's outputs tell apart
 * @throws {ModelError} when there are none, or not as many
 */
export async function labelsOf(
  source: ModelSource,
  description: Description,
  layout: Layout,
  classes: number,
): Promise<readonly string[]> {
  if (classes === 0) return []
  const labels = await givenLabels(source, description, layout)
  const what = `Cannot use model "${source.file}"`
  const has = `model has ${classes} ${classes === 1 ? 'class' : 'classes'}`
  if (!labels) {
    throw new ModelError(
      `${what}: ${has} and their labels were not given; add --labels FILE (one per line) or --labels coco`,
    )
  }
  if (labels.names.length !== classes) {
    throw new ModelError(`${what}: ${has}, ${labels.from} has ${labels.names.length}`)
  }
  return labels.names
}

async function givenLabels(
  source: ModelSource,
  description: Description,
  layout: Layout,
): Promise<Labels | undefined> {
  if (source.labels !== undefined) return readLabels(source.labels)
  if (typeof description.labels === 'string') return readLabels(description.labels)
  if (description.labels) {
    const from = `description of "${source.file}"`
    return { names: checkedLabels(description.labels, from), from: 'its description' }
  }
  return layout.labels ? { names: layout.labels, from: `layout ${layout.name}` } : undefined
}
