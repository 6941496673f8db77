/** A configuration as people read it. Pure. */
import type { DeviceConfig } from '@edgeloop/protocol'

/** Points and lists of words, which JSON would give a line each, in one. A string holds no line break as it is. */
const short = /\[\n\s+([^[\]{}\n]+(?:,\n\s+[^[\]{}\n]+)*)\n\s+\]/g

/** As JSON: what is copied from it can be given to `device config set`. */
export const writeConfig = (config: DeviceConfig): string =>
  JSON.stringify(config, null, 2).replace(
    short,
    (_, list: string) => `[${list.replace(/,\n\s+/g, ', ')}]`,
  )
