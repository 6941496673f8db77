/**
 * The hub's wish on its way into force: checked whole before anything changes, kept on disk so that
 * the box comes up with it when the hub is away.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { configMisfit, Desired } from '@edgeloop/protocol'
import { Misfit, parse, parseJson } from '@edgeloop/protocol/check'

const what = 'desired configuration'

/**
 * Gives a wish back as what it claims to be. A model that the device does not have is no reason to
 * refuse: that stream fails and says so, the others run.
 * @param streamsMax streams that this device can run
 * @throws {Misfit} naming the place and the reason; for an unknown key, the nearest known one
 */
export function checkDesired(value: unknown, streamsMax: number): Desired {
  const desired = parse(Desired, value, what)
  const { streams } = desired.config
  if (streams.length > streamsMax) {
    throw new Misfit(
      `Cannot take ${what}: ${streams.length} streams, this device runs at most ${streamsMax}`,
    )
  }
  const misfit = configMisfit(desired.config)
  if (misfit !== undefined) throw new Misfit(`Cannot take ${what}: ${misfit}`)
  return desired
}

/**
 * The last wish that was in force, or undefined where there is none that can be read.
 * @throws {Misfit} when the file is damaged or no longer fits
 */
export async function readDesired(file: string, streamsMax: number): Promise<Desired | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return checkDesired(parseJson(bytes, what), streamsMax)
}

/** Keeps a wish for the next start: whole or not at all, also when power fails. */
export async function writeDesired(file: string, desired: Desired): Promise<void> {
  const part = join(dirname(file), `.${randomUUID()}.part`)
  try {
    await using handle = await open(part, 'wx', 0o600)
    await handle.writeFile(JSON.stringify(desired))
    await handle.sync()
    await rename(part, file)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
  await using folder = await open(dirname(file), 'r')
  await folder.sync()
}

/** The version that a wish claims to be, which may be no wish at all; 0 where it claims none. */
export function versionOf(value: unknown): number {
  const version = (value as { version?: unknown } | null)?.version
  return Number.isSafeInteger(version) && Number(version) > 0 ? Number(version) : 0
}
