/** The whole agent of one enrolled device: the supervisor with its link to the hub. */
import type { Logger } from 'pino'
import { superviseAgent } from './agent.ts'
import type { AgentConfig } from './configuration.ts'
import type { Identity } from './identity/identity.ts'
import { openLink } from './link/link.ts'
import type { LogRing } from './log/log-ring.ts'

export type RunAgentOptions = {
  readonly config: AgentConfig
  readonly identity: Identity
  readonly log: Logger
  /** What `log` has written, for who asks from afar; nothing is told of it where it is left out. */
  readonly logRing?: LogRing
  /** Another program in place of the media process; for tests. */
  readonly mediaModule?: string | URL
  /** Stops everything when it aborts. */
  readonly signal: AbortSignal
}

/**
 * Runs the agent until `signal` aborts; then everything it had started is gone.
 * @throws {Error} when its data folder cannot be used, or the outbox can no longer be written
 */
export async function runAgent({ identity, ...options }: RunAgentOptions): Promise<void> {
  await superviseAgent({
    ...options,
    deviceId: identity.deviceId,
    connect: (deps) => openLink({ ...deps, identity }),
  })
}
