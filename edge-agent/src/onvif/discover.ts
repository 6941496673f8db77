/**
 * Which cameras answer in this network: a WS-Discovery probe to everybody, and whoever answers within some
 * seconds. An answer counts only where it names an address of the host that sent it.
 */
import { randomUUID } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { at, each, parseXml, textOf } from './xml.ts'

/** Cameras that are listed; further answers are left out. */
const camerasMax = 256
/** UDP loses what it likes: the question is sent again. */
const repeatMs = 500

export type DiscoveredCamera = {
  /** Address of its device service, on the host that answered. */
  readonly url: string
  readonly name: string
  readonly hardware: string
}

export type DiscoverOptions = {
  readonly waitMs: number
  readonly signal: AbortSignal
  /** Where the question goes: WS-Discovery's group on every network of this machine when left out. */
  readonly to?: readonly {
    readonly address: string
    readonly port: number
    readonly from?: string
  }[]
}

const group = { address: '239.255.255.250', port: 3702 } as const

/**
 * Asks, waits, and lists who has answered, by address.
 * @throws {Error} where no question could be sent at all; the signal's reason when it aborts
 */
export async function discoverCameras(options: DiscoverOptions): Promise<DiscoveredCamera[]> {
  const { waitMs, signal, to = ownNetworks().map((from) => ({ ...group, from })) } = options
  const messageId = `urn:uuid:${randomUUID()}`
  const found = new Map<string, DiscoveredCamera>()
  const failures: Error[] = []
  const sockets: Socket[] = []
  const repeats: NodeJS.Timeout[] = []
  try {
    for (const { address, port, from } of to) {
      const socket = createSocket('udp4')
      sockets.push(socket)
      socket.on('error', (error) => failures.push(error))
      socket.on('message', (bytes, sender) => {
        for (const camera of camerasIn(bytes, messageId, sender.address)) {
          if (found.size < camerasMax) found.set(camera.url, camera)
        }
      })
      socket.bind(0, from)
      await Promise.race([once(socket, 'listening'), sleep(1000, undefined, { signal })])
      if (from !== undefined) socket.setMulticastInterface(from)
      const send = () =>
        socket.send(probeOf(messageId), port, address, (error) => error && failures.push(error))
      send()
      repeats.push(setTimeout(send, repeatMs))
    }
    await sleep(waitMs, undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    for (const repeat of repeats) clearTimeout(repeat)
    for (const socket of sockets) socket.close()
  }
  const [failure] = failures
  if (found.size === 0 && (to.length === 0 || (failure && failures.length >= to.length))) {
    const why = failure?.message ?? 'this machine is in no IPv4 network'
    throw new Error(`Cannot look for cameras: ${why}`, { cause: failure })
  }
  return [...found.values()].toSorted((a, b) => a.url.localeCompare(b.url, 'en', { numeric: true }))
}

/** IPv4 addresses under which this machine is in a network. */
const ownNetworks = (): string[] =>
  Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.flatMap(({ family, internal, address }) =>
      family === 'IPv4' && !internal ? [address] : [],
    ),
  )

const probeOf = (messageId: string): string =>
  [
    '<?xml version="1.0" encoding="utf-8"?>',
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">',
    `<e:Header><w:MessageID>${messageId}</w:MessageID>`,
    '<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>',
    '<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>',
    '<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>',
  ].join('')

/** The cameras that one datagram names; none where it is no answer to our question. */
export function camerasIn(bytes: Buffer, messageId: string, sender: string): DiscoveredCamera[] {
  let document: unknown
  try {
    document = parseXml(bytes.toString('utf8'))
  } catch {
    return []
  }
  if (textOf(at(document, 'Envelope', 'Header', 'RelatesTo')) !== messageId) return []
  const matches = at(document, 'Envelope', 'Body', 'ProbeMatches', 'ProbeMatch')
  return each(matches, 8).flatMap((match) => {
    const addresses = textOf(at(match, 'XAddrs')).split(/\s+/)
    const url = addresses.find((text) => isHttpOf(text, sender))
    if (url === undefined) return []
    const scopes = textOf(at(match, 'Scopes'), 8192).split(/\s+/)
    return [{ url, name: scope(scopes, 'name'), hardware: scope(scopes, 'hardware') }]
  })
}

function isHttpOf(text: string, host: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username } = new URL(text)
  return /^https?:$/.test(protocol) && hostname === host && username === ''
}

function scope(scopes: readonly string[], key: string): string {
  const prefix = `onvif://www.onvif.org/${key}/`
  const value = scopes.find((text) => text.startsWith(prefix))?.slice(prefix.length) ?? ''
  try {
    return textOf(decodeURIComponent(value), 100)
  } catch {
    return textOf(value, 100)
  }
}
