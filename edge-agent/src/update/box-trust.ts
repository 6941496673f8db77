/**
 * What this box believes of models: the files of its trust, in `trust/` of the folder of updates, and where news of it
 * come from. The root came with enrolment; a box that enrolled before it did takes the first one from its hub, once.
 */
import {
  keepRoot,
  refreshTrust,
  type TrustedTargets,
  type TrustFiles,
  type TrustSource,
  takeBytes,
  takeFirstRoot,
} from '@edgeloop/model-compiler/artifact'
import { deviceRoutes, pathOf } from '@edgeloop/protocol'
import { Agent, request } from 'undici'
import type { Identity } from '../identity/identity.ts'
import { replaceFile, type UpdateDisk } from './update-disk.ts'

const folder = 'trust'
const connectTimeoutMs = 10_000
/** Between two pieces of an answer; the whole refresh has a limit of its own. */
const answerTimeoutMs = 20_000
/** A refresh that just ended well is not made again for another model. */
const freshMs = 5000

/** The box's trust on its disk. */
export const trustFilesOn = (disk: UpdateDisk): TrustFiles => ({
  read: (name) => disk.read(`${folder}/${name}`),
  write: (name, bytes) => replaceFile(disk, `${folder}/${name}`, bytes),
})

/**
 * Keeps the root that came with enrolment; without one, as from a hub that is older, nothing is left of another hub's.
 * @throws {TrustError} integrity, when it is no root that its own keys have signed
 */
export async function keepEnrolledRoot(disk: UpdateDisk, root: string | undefined): Promise<void> {
  if (root !== undefined) return await keepRoot(trustFilesOn(disk), Buffer.from(root))
  if ((await disk.size(`${folder}/root.json`)) === undefined) return
  await disk.remove(`${folder}/root.json`)
  await disk.syncFolder(folder)
}

export type HubTrust = TrustSource &
  AsyncDisposable & {
    /** From now on requests show another identity. */
    show(identity: Identity): void
  }

/** The hub's repository, over mutual TLS with the pinned authority. */
export function openHubTrust(identity: Identity): HubTrust {
  const dispatcherOf = ({ key, certificate: cert, ca }: Identity): Agent =>
    new Agent({
      connections: 1,
      headersTimeout: answerTimeoutMs,
      bodyTimeout: answerTimeoutMs,
      connect: { key, cert, ca, minVersion: 'TLSv1.3', timeout: connectTimeoutMs },
    })
  let dispatcher = dispatcherOf(identity)
  return {
    show(other) {
      const before = dispatcher
      dispatcher = dispatcherOf(other)
      void before.close()
    },
    async fetch(file, bytesMax, signal) {
      const url = new URL(pathOf(deviceRoutes.trustGet, { file }), identity.deviceUrl)
      const { statusCode, body } = await request(url, { dispatcher, signal })
      if (statusCode === 200) return await takeBytes(body, bytesMax, file)
      // Read to its end, so that the connection can be used again; what it says is of no use.
      await body.dump({ limit: 16 * 1024, signal })
      if (statusCode === 404) return undefined
      throw new Error(`the hub answered with HTTP ${statusCode}`)
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

export type BoxTrust = {
  /** What is signed now. Of several who ask at once, one asks the hub. @throws {TrustError} */
  refresh(signal: AbortSignal): Promise<TrustedTargets>
}

/**
 * @param deps.now milliseconds: the clock of the box, or when this agent was built where that is later
 * @param deps.bundle true where the source is a bundle that somebody carried here
 */
export function openBoxTrust(deps: {
  disk: UpdateDisk
  source: TrustSource
  now: () => number
  bundle?: boolean
  /** For one refresh; default two minutes. */
  timeoutMs?: number
}): BoxTrust {
  const { source, now, bundle = false, timeoutMs } = deps
  const limit = timeoutMs === undefined ? {} : { timeoutMs }
  const files = trustFilesOn(deps.disk)
  let last: Promise<unknown> = Promise.resolve()
  let fresh: { targets: TrustedTargets; at: number } | undefined
  return {
    async refresh(signal) {
      const act = async (): Promise<TrustedTargets> => {
        const at = performance.now()
        if (fresh && at - fresh.at < freshMs && now() < fresh.targets.expiresAt) {
          return fresh.targets
        }
        if (!bundle) await takeFirstRoot({ files, source, signal, ...limit })
        const targets = await refreshTrust({ files, source, now: now(), signal, bundle, ...limit })
        fresh = { targets, at: performance.now() }
        return targets
      }
      const done = last.then(act, act)
      last = done.catch(() => {})
      return await done
    },
  }
}
