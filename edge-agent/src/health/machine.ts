/** What kind of box this is, for people who look at the fleet. */
import { readFile } from 'node:fs/promises'
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os'
import type { Reported } from '@edgeloop/protocol'

export type Machine = Pick<
  Reported,
  'agentVersion' | 'platform' | 'cpu' | 'cores' | 'memoryBytes'
> & {
  readonly targets: string[]
}

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
    targets: targetsOf(platform(), arch(), await readFile('/proc/cpuinfo', 'utf8').catch(() => '')),
  }
}

/**
 * Kinds of boxes that models are compiled for (model-compiler/src/targets) and that this one is, the most particular
 * first; none where there are no such models.
 * @param cpuInfo text of `/proc/cpuinfo`
 */
export function targetsOf(system: string, architecture: string, cpuInfo: string): string[] {
  if (system !== 'linux') return []
  if (architecture === 'arm64') return ['linux-arm64']
  if (architecture !== 'x64') return []
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuInfo)?.[1]?.trim().split(/\s+/))
  // Products of codes that are summed in 32 bits: Intel from Ice Lake and Alder Lake, AMD from Zen 4.
  const hasVnni = flags.has('avx512_vnni') || flags.has('avx_vnni')
  return hasVnni ? ['linux-x64-vnni', 'linux-x64'] : ['linux-x64']
}
