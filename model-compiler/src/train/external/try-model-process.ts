/** Runs a model of others once on grey pictures, in a process that may crash. Started by `runInChild`. */
import { answerOrder } from '../../compile/child.ts'
import { openSession } from '../../runtime/session.ts'

export type TryOrder = {
  readonly file: string
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[] }[]
}

export type TriedModel = {
  readonly outputs: readonly {
    readonly name: string
    readonly shape: readonly number[]
    readonly isFinite: boolean
  }[]
}

answerOrder<TryOrder, never, TriedModel>(async ({ file, inputs }) => {
  await using session = await openSession(file)
  const feeds = inputs.map(({ name, shape: dims }) => {
    const count = dims.reduce((product, length) => product * length, 1)
    return [name, { type: 'float32', dims, data: new Float32Array(count).fill(0.5) }] as const
  })
  const outputs = await session.run(Object.fromEntries(feeds))
  return {
    outputs: Object.entries(outputs).map(([name, { dims, data }]) => ({
      name,
      shape: [...dims],
      isFinite: Array.from(data as ArrayLike<number | bigint>, Number).every(Number.isFinite),
    })),
  }
})
