/**
 * Door of the agent. What it takes to run one is loaded when it is run: commands that only look at
 * files start fast, and native libraries stay out of every process that does not decode.
 * @module
 */
import type { EnrolOptions } from './identity/enrol.ts'
import type { Identity } from './identity/identity.ts'
import { hasEnded as certificateHasEnded } from './identity/validity.ts'
import type { RunAgentOptions } from './run-agent.ts'
import type { CarriedModel } from './update/carried.ts'
import type { CarryOptions } from './update/carry-bundle.ts'

export { type AgentConfig, AgentFile, readAgentConfig } from './configuration.ts'
export { demoModel } from './demo/demo-model.ts'
export { forgetIdentity, type Identity, isEnrolled, readIdentity } from './identity/identity.ts'
export { LogRing } from './log/log-ring.ts'
export type { ModelSource } from './models/model.ts'
export type { CarriedModel, CarryOptions, EnrolOptions, RunAgentOptions }

/** True where the certificate of an identity has ended by the clock of this machine. */
export const hasEnded = ({ certificate }: Identity): boolean =>
  certificateHasEnded(certificate, Date.now())

/** Runs the agent of an enrolled device until its signal aborts. */
export async function runAgent(options: RunAgentOptions): Promise<void> {
  const door = await import('./run-agent.ts')
  await door.runAgent(options)
}

/** Makes this box's key and buys its certificate with a one-time token. */
export async function enrol(options: EnrolOptions): Promise<Identity> {
  const door = await import('./identity/enrol.ts')
  return await door.enrol(options)
}

/** Gives a bundle to the agent whose data are in a folder, whether it runs or not; it reaches no hub for it. */
export async function carryBundle(options: CarryOptions): Promise<readonly CarriedModel[]> {
  const door = await import('./update/carry-bundle.ts')
  return await door.carryBundle(options)
}
