/** A hub in a process of its own, for tests that kill it: `HubProcess` starts it. */
import { openHub, readHubConfig } from '@edgeloop/cloud-hub'
import pino from 'pino'

/** Told to the parent when every listener is open. */
export type HubReady = {
  readonly browser: string
  readonly device: string
  readonly mqtt: string
  readonly localTokenFile: string
}

if (import.meta.main) {
  const log = pino({ level: process.env.EDGELOOP_LOG ?? 'error' }, pino.destination(2))
  const hub = await openHub(readHubConfig(JSON.parse(process.argv[2] ?? '{}')), { log })
  const ready: HubReady = { ...hub.urls, localTokenFile: hub.localTokenFile }
  process.send?.(ready)
  const stop = () => void hub[Symbol.asyncDispose]().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('disconnect', stop)
}
