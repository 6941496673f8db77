/** The registry as an Open Inference Protocol v2 server sees it: every version of every model, the champion by its name. */
import { type ModelVersion, Refusal } from '@edgeloop/protocol'
import {
  type OipReply,
  oipModelOf,
  oipServerOf,
  readInference,
  writeInference,
} from '@edgeloop/protocol/oip'
import type { ModelDesk } from '../models/models.ts'
import type { ModelPool } from './model-pool.ts'

export type ServedModels = {
  readonly ready: boolean
  server(): ReturnType<typeof oipServerOf>
  /** @throws {Refusal} unavailable where nothing here executes models */
  need(): ModelPool
  /** A version; the champion, or else the newest, where none is named. @throws {Refusal} notFound */
  find(name: string, version?: number): Promise<ModelVersion>
  /** @throws {Refusal} as `find` and `need`; {OipRefusal} as the pool */
  describe(name: string, version?: number): Promise<ReturnType<typeof oipModelOf>>
  /** @throws {Refusal} as `find` and `need`; {OipRefusal} as the pool, and 400 for what does not fit the model */
  infer(
    name: string,
    version: number | undefined,
    body: unknown,
    jsonLength: string | readonly string[] | undefined,
  ): Promise<OipReply>
}

export function openServedModels(deps: {
  models: Pick<ModelDesk, 'show' | 'champion' | 'versions'>
  pool: ModelPool | undefined
  version: string
}): ServedModels {
  const { models, pool } = deps

  function need(): ModelPool {
    if (pool) return pool
    throw new Refusal(
      'unavailable',
      'Cannot run models: this hub was started without what executes them',
    )
  }
  async function find(name: string, version?: number): Promise<ModelVersion> {
    if (version !== undefined) return (await models.show(name, version)).model
    return (await models.champion(name)) ?? (await models.versions(name))[0]!
  }

  return {
    ready: pool !== undefined,
    server: () => oipServerOf(deps.version),
    need,
    find,
    describe: async (name, version) => {
      const model = await find(name, version)
      const signature = await need().signatureOf(model)
      const versions = (await models.versions(name)).map((one) => String(one.version))
      return oipModelOf(name, versions.toReversed(), signature)
    },
    infer: async (name, wanted, body, jsonLength) => {
      const model = await find(name, wanted)
      const open = need()
      const asked = readInference(body, jsonLength, await open.signatureOf(model))
      const results = await open.infer(model, asked.inputs)
      return writeInference({ name, version: String(model.version) }, asked, results)
    },
  }
}
