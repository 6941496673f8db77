/** The newest version of a model that a device could be offered. */
import type { Device } from '../devices/device.ts'
import { targetsOf } from '../rollouts/keeper.ts'
import type { PublishedArtifacts } from '../rollouts/published-cache.ts'
import type { Store } from '../store/store.ts'

/** Versions that are looked at, the newest. */
const versionsMax = 20

export async function latestVersionFor(
  { store, artifacts }: { store: Store; artifacts: PublishedArtifacts },
  name: string,
  device: Device,
): Promise<number | undefined> {
  const rows = await store.reader
    .selectFrom('artifact_publication')
    .select('version')
    .distinct()
    .where('name', '=', name)
    .orderBy('version', 'desc')
    .limit(versionsMax)
    .execute()
  for (const { version } of rows) {
    // What is not signed, or not for this kind of box, is none.
    if (await artifacts.artifactFor(name, version, targetsOf(device))) return version
  }
  return undefined
}
