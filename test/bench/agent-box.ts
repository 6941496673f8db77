/** The agent of the agent bench, in a process of its own so that its cost is its own. */
import { readAgentConfig, readIdentity, runAgent } from '@edgeloop/edge-agent'
import { pino } from 'pino'

const [dataDir = '', settings = '{}'] = process.argv.slice(2)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
process.once('disconnect', () => stop.abort())
await runAgent({
  config: await readAgentConfig(dataDir, JSON.parse(settings)),
  identity: await readIdentity(dataDir),
  log: pino({ level: process.env.EDGELOOP_TEST_LOG ?? 'error' }, pino.destination(2)),
  signal: stop.signal,
})
process.exit(0)
