/**
 * Door to what is known about models without opening one: no runtime is loaded here.
 * @module
 */
import { layouts } from './layouts/index.ts'

export { cocoLabels } from './coco-labels.ts'
export { descriptionEndings } from './description-file.ts'
export { readLabels } from './labels.ts'

/** Names that `--layout` takes. */
export const layoutNames: readonly string[] = layouts.map(({ name }) => name)
