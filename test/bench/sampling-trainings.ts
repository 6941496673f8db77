/** Trainings of `npm run bench -- sampling`, one after the other in one process: a JSON list of orders in, a line for each out. */
import { readFile } from 'node:fs/promises'
import type { TrainOrder } from '@edgeloop/model-compiler/train'
import { performTraining } from '../../cli/src/train/train-work.ts'

const never = new AbortController().signal
const orders: TrainOrder[] = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8'))
for (const order of orders) {
  const result = await performTraining(order, () => {}, never)
  if (result.kind !== 'ended') throw new Error('Cannot bench a training that did not end')
  const { test, before } = result
  console.log(JSON.stringify({ folder: order.folder, ap50: test?.ap50, ap50Before: before?.ap50 }))
}
process.exit(0)
