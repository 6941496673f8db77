/** What the supervisor holds of samples: those that wait for the hub, and what may be sent of them today. */
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { AgentConfig } from '../configuration.ts'
import { DeviceDay } from './device-day.ts'
import { SampleFolder } from './sample-folder.ts'

export type Samples = { readonly folder: SampleFolder; readonly day: DeviceDay }

/** Opens `folder`, which is made where it is not there. */
export async function openSamples(
  folder: string,
  { bytesMax, framesPerDay, bytesPerDay }: AgentConfig['samples'],
  log: Logger,
): Promise<Samples> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const clocks = { now: Date.now, monotonicMs: () => performance.now() }
  return {
    folder: await SampleFolder.open({ folder, bytesMax, log }),
    day: await DeviceDay.open({ folder, framesPerDay, bytesPerDay, ...clocks }),
  }
}
