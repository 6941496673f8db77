/** What kind of box this is, for people who look at the fleet. */
import { readFile } from 'node:fs/promises'
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os'
import type { Reported } from '@edgeloop/protocol'

export type Machine = Pick<Reported, 'agentVersion' | 'platform' | 'cpu' | 'cores' | 'memoryBytes'>

/** @throws {Error} when the agent's own package.json cannot be read */
export async function describeMachine(): Promise<Machine> {
  const packageFile = new URL('../../package.json', import.meta.url)
  const { version } = JSON.parse(await readFile(packageFile, 'utf8')) as { version: string }
  return {
    agentVersion: version,
    platform: `${platform()} ${release()} ${arch()}, Node ${process.version}`.slice(0, 80),
    cpu: (cpus()[0]?.model.trim() || 'unknown').slice(0, 200),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  }
}
