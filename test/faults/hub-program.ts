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

async function withTrainer() {
  const { openHubCompiler } = await import('../../cli/src/model/hub-compiler.ts')
  const { openHubTrainer } = await import('../../cli/src/train/hub-trainer.ts')
  return { compiler: openHubCompiler(), trainer: openHubTrainer() }
}

if (import.meta.main) {
  const log = pino({ level: process.env.EDGELOOP_LOG ?? 'error' }, pino.destination(2))
  const [, , config = '{}', able] = process.argv
  const hub = await openHub(readHubConfig(JSON.parse(config)), {
    log,
    ...(able === 'training' ? await withTrainer() : {}),
  })
  const ready: HubReady = { ...hub.urls, localTokenFile: hub.localTokenFile }
  process.send?.(ready)
  const stop = () => void hub[Symbol.asyncDispose]().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('disconnect', stop)
}
