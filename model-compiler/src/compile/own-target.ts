/** Which target this machine is, as far as it can be told from what the system says of its processor. */
import { readFileSync } from 'node:fs'

/**
 * @param cpuinfo what Linux says in /proc/cpuinfo
 * @returns the name of a target; of an unknown machine the one that is right everywhere
 */
export function targetOf(arch: string, cpuinfo: string): string {
  if (arch === 'arm64') return 'linux-arm64'
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/) ?? []
  const hasVnni = flags.includes('avx512_vnni') || flags.includes('avx_vnni')
  return arch === 'x64' && hasVnni ? 'linux-x64-vnni' : 'linux-x64'
}

/** The target that this process runs on. */
export function ownTarget(): string {
  let cpuinfo = ''
  try {
    cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    // Not Linux: nothing is known of the processor.
  }
  return targetOf(process.arch, cpuinfo)
}
