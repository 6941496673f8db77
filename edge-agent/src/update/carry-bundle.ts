/** A bundle and the folder of an agent's data: what `bundle import --agent-data` does. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BundleBytes } from '@edgeloop/model-compiler/artifact'
import type { UpdateCare } from '@edgeloop/protocol'
import { readAgentConfig } from '../configuration.ts'
import { describeMachine } from '../health/machine.ts'
import { isEnrolled } from '../identity/identity.ts'
import { type CarriedModel, carryIn } from './carried.ts'
import { localUpdateDisk } from './update-disk.ts'

export type CarryOptions = {
  /** The agent's, as `agent --data` has it. */
  readonly dataDir: string
  readonly bytes: BundleBytes
  readonly care: UpdateCare
  readonly signal: AbortSignal
}

/**
 * As {@link carryIn}, on the disk of this machine and for the kind of box that it is.
 * @throws {Error} also where the folder holds no enrolled agent, is another user's, or its agent takes no models up
 */
export async function carryBundle(options: CarryOptions): Promise<readonly CarriedModel[]> {
  const { dataDir, ...given } = options
  if (!(await isEnrolled(dataDir))) {
    throw new Error(`Cannot give the bundle to the agent in "${dataDir}": it holds no identity`)
  }
  // What another user writes there the agent could not read.
  const [owner, own] = [(await stat(dataDir)).uid, process.getuid?.()]
  if (own !== undefined && own !== owner) {
    const text = `Cannot give the bundle to the agent in "${dataDir}": it belongs to user ${owner}; run this as that user`
    throw new Error(text)
  }
  const { updates } = await readAgentConfig(dataDir)
  if (!updates.enabled) {
    const text = `Cannot give the bundle to the agent in "${dataDir}": its agent.yaml says that it takes no models up`
    throw new Error(text)
  }
  const disk = localUpdateDisk(join(dataDir, 'update'))
  return await carryIn({ disk, box: await describeMachine(), now: Date.now(), ...given })
}
