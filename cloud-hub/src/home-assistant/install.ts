/** What a press of "Install" begins: a rollout to that one device, with its entry in the audit log. */
import { Refusal } from '@edgeloop/protocol'
import type { Audit } from '../audit/audit.ts'
import type { RolloutDesk } from '../rollouts/rollouts.ts'

/** Nobody of ours: whoever may publish at that broker. */
const by = 'home-assistant'

/** @returns begins to move a device to a version. @throws {Refusal} as `RolloutDesk.create` */
export function installHere(deps: { rollouts: Pick<RolloutDesk, 'create'>; audit: Audit }) {
  return async (deviceId: string, name: string, version: number): Promise<void> => {
    const facts = { actor: by, via: 'hub', action: 'rolloutCreate', address: '' } as const
    const note = deps.audit.begin({ ...facts, target: deviceId })
    const words = { whenBusy: 'wait', note: 'asked for in Home Assistant' } as const
    try {
      await deps.rollouts.create(
        { name, version, select: { devices: [deviceId] }, ...words },
        by,
        note,
      )
      await note.finish('done')
    } catch (error) {
      await note.finish(error instanceof Refusal ? error.code : 'internal')
      throw error
    }
  }
}
