/** A whole agent in a process of its own, for tests that kill it: `startAgent` starts it. */
import { readAgentConfig, readIdentity, runAgent } from '@edgeloop/edge-agent'
import pino from 'pino'

/** What the agent program is told, as JSON in its first argument. */
export type AgentOrder = {
  readonly dataDir: string
  readonly mqttUrl: string
  /** `agent.yaml`, as data. */
  readonly file: object
  /** Its own media processes in place of producers of events. */
  readonly ownMedia?: true
}

if (import.meta.main) {
  const order: AgentOrder = JSON.parse(process.argv[2] ?? '{}')
  const stop = new AbortController()
  process.once('SIGTERM', () => stop.abort())
  process.once('disconnect', () => stop.abort())
  const log = pino({ level: process.env.EDGELOOP_LOG ?? 'error' }, pino.destination(2))
  const identity = await readIdentity(order.dataDir)
  await runAgent({
    config: await readAgentConfig(order.dataDir, order.file),
    identity: { ...identity, mqttUrl: order.mqttUrl },
    ...(!order.ownMedia && { mediaModule: new URL('./media-program.ts', import.meta.url) }),
    signal: stop.signal,
    log,
  })
  process.disconnect?.()
}
