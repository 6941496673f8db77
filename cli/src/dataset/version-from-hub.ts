/** Fetches a frozen version of a dataset from a hub, to be read here, with the side that each sample is on. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SplitName } from '@edgeloop/protocol'
import { UsageFailure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { exportFromHub } from './export-from-hub.ts'

const pageSamples = 200

/**
 * @param named `NAME` for the newest version, or `NAME@VERSION`
 * @param into a folder of the caller's
 * @returns the folder in our own form, and a file that says of each digest which side it is on (of the first fold)
 * @throws {Failure} when nothing is frozen
 */
export async function versionFromHub(
  named: string,
  given: HubOptions,
  into: string,
  signal: AbortSignal,
): Promise<{ folder: string; splitFile: string }> {
  const [, name = '', digits] = /^([^@]+)(?:@([1-9]\d{0,6}))?$/.exec(named) ?? []
  if (name === '') {
    throw new UsageFailure(
      `Cannot read "${named}" as a dataset of the hub`,
      'write NAME, or NAME@VERSION',
    )
  }
  const folder = join(into, 'dataset')
  const asked = digits === undefined ? {} : { version: Number(digits) }
  const { dataset, version } = await exportFromHub(
    name,
    { ...given, ...asked, to: 'frozen', out: folder },
    signal,
  )
  const hub = await connectHub(given)
  const sides: Record<string, SplitName> = {}
  for (let after: number | undefined; ; ) {
    const { samples, next } = await hub.call('datasetSampleList', {
      params: { dataset },
      query: { version, limit: pageSamples, ...(after !== undefined && { after }) },
    })
    for (const { digest, split } of samples) if (split) sides[digest] = split
    if (next === null) break
    after = next
  }
  const splitFile = join(into, 'split.json')
  await writeFile(splitFile, JSON.stringify(sides))
  return { folder, splitFile }
}
