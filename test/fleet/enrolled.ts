/** Many devices of one hub at once, for fleets in a few processes. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EnrolmentToken } from '@edgeloop/protocol'
import type { HubReady } from '../bench/bench-hub.ts'
import type { Credentials } from '../bench/ingest-load.ts'
import { makeRequest, send } from '../hub/fixture.ts'

const enrolmentsAtOnce = 8
/** The hub bounds enrolments per address; all of 127/8 is this machine. */
const addresses = 8
const onlineTimeoutMs = 180_000

/** Enrols devices `agent-1` and up on eight sites, all with one key. @param token of the hub's owner */
export async function enrolAll(
  ready: HubReady,
  token: string,
  agents: number,
): Promise<Credentials[]> {
  const { key, csr } = await makeRequest()
  const enrol = async (number: number): Promise<Credentials> => {
    const deviceId = `agent-${number}`
    const made = await fetch(`${ready.browser}/api/enrolment-tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ deviceId, site: `site-${number % 8}` }),
    })
    const offer = (await made.json()) as EnrolmentToken
    const localAddress = `127.0.0.${2 + (number % addresses)}`
    const body = { token: offer.token, csr }
    const reply = await send(`${ready.device}/enrol`, 'POST', { localAddress }, body)
    if (reply.status !== 201) throw new Error(`Cannot enrol "${deviceId}": ${reply.text}`)
    return { deviceId, key, ...(JSON.parse(reply.text) as Omit<Credentials, 'deviceId' | 'key'>) }
  }
  const credentials: Credentials[] = []
  for (let i = 0; i < agents; i += enrolmentsAtOnce) {
    const some = Array.from({ length: Math.min(enrolmentsAtOnce, agents - i) }, (_, k) => i + k + 1)
    credentials.push(...(await Promise.all(some.map(enrol))))
  }
  return credentials
}

/** Waits until as many devices are online. @throws {Error} when they are not after three minutes */
export async function untilOnline(url: string, agents: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + onlineTimeoutMs
  for (let online = -1; online < agents; await sleep(100, undefined, { signal })) {
    if (performance.now() > deadline) {
      throw new Error(
        `Cannot measure: ${online} of ${agents} agents are online after ${onlineTimeoutMs / 1000} s`,
      )
    }
    const reply = await fetch(`${url}/api/health`).catch(() => undefined)
    if (reply) online = ((await reply.json()) as { devicesOnline: number }).devicesOnline
  }
}
