/** Tasks as the hub gives them, for tests. */
import type { LabelTask } from '@edgeloop/protocol'

/** With two suggestions of a model: a bolt that it is sure of, and a nut that it is not. */
export const taskOf = (taskId: number, given: Partial<LabelTask> = {}): LabelTask => ({
  taskId,
  queue: 'parts',
  state: 'open',
  sample: { digest: String(taskId).padStart(64, '0'), width: 200, height: 100 },
  why: 'near the threshold',
  use: 0.5,
  suggestions: [
    { label: 'bolt', score: 0.9, box: [0.1, 0.1, 0.2, 0.2], from: 'box:parts@1' },
    { label: 'nut', score: 0.3, box: [0.5, 0.5, 0.1, 0.1], from: 'box:parts@1' },
  ],
  answers: [],
  revision: 0,
  ...given,
})
