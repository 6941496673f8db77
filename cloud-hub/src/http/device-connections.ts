/**
 * The open TLS connections of the device listener by whose certificate they carry, so that those of one
 * device can be cut at once.
 */
import type { Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { identityOf } from '../identity/device-identity.ts'

export type DeviceConnections = {
  /** Ends the connections of a device; `except`: but those of the certificate with this serial. */
  cut(deviceId: string, except?: string): void
}

/** Watches a listener from now on; strangers who only enrol are not kept. */
export function watchConnections(server: Server): DeviceConnections {
  const open = new Map<string, Set<{ readonly socket: TLSSocket; readonly serial: string }>>()
  server.on('secureConnection', (socket: TLSSocket) => {
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
    const identity = certificate && identityOf(certificate)
    if (!identity) return
    const { deviceId, serial } = identity
    const connection = { socket, serial }
    const ofDevice = open.get(deviceId) ?? new Set()
    open.set(deviceId, ofDevice.add(connection))
    socket.once('close', () => {
      ofDevice.delete(connection)
      if (ofDevice.size === 0 && open.get(deviceId) === ofDevice) open.delete(deviceId)
    })
  })
  return {
    cut: (deviceId, except) => {
      for (const { socket, serial } of open.get(deviceId) ?? []) {
        if (serial !== except) socket.destroy()
      }
    },
  }
}
