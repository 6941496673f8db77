/**
 * What Eclipse mosquitto has to be told to serve a hub: its configuration and its access rules, derived from
 * the message table as the embedded broker's are.
 *
 * Two listeners. Devices come with a certificate of the hub's authority, and their name in it is their user name and their
 * client id, whatever they say. The hub comes to one of its own, where only its own certificate is trusted: its
 * connections and replicas need client ids of their own, and there no device can take one of another.
 */
import {
  filterFor,
  type MessageName,
  messageNames,
  messages,
  packetBytesMax,
} from '@edgeloop/protocol'

/** Stands in the hub's certificate; no device can be called so. */
export const hubUserName = 'Edgeloop hub'

/** Bytes and messages that wait for a hub which does not keep up; beyond them devices say it again. */
const queuedBytesMax = 64 * 1024 * 1024
const queuedMessagesMax = 100_000
const inflightMessagesMax = 1000

export type MosquittoOptions = {
  /** Folder with the files that the configuration names. */
  readonly folder: string
  /** Address that the listeners are bound to; empty for all. */
  readonly bind: string
  readonly devicePort: number
  readonly hubPort: number
}

/** `mosquitto.conf` for mosquitto 2.0. */
export function mosquittoConf({ folder, bind, devicePort, hubPort }: MosquittoOptions): string {
  const address = bind === '' ? '' : ` ${bind}`
  const tls = [
    `certfile ${folder}/broker.crt`,
    `keyfile ${folder}/broker.key`,
    'tls_version tlsv1.3',
    'require_certificate true',
    'use_identity_as_username true',
    'set_tcp_nodelay true',
  ]
  return [
    '# Made by "./edgeloop hub broker-config"; run it again instead of editing.',
    '# After devices.crl has changed: kill -HUP (systemctl reload mosquitto).',
    'allow_anonymous false',
    `acl_file ${folder}/acl`,
    'allow_zero_length_clientid false',
    `max_packet_size ${packetBytesMax}`,
    `max_inflight_messages ${inflightMessagesMax}`,
    `max_queued_messages ${queuedMessagesMax}`,
    `max_queued_bytes ${queuedBytesMax}`,
    '# What is retained outlives a restart.',
    'persistence true',
    `persistence_location ${folder}/data/`,
    'autosave_interval 60',
    'log_dest stderr',
    'log_type error',
    'log_type warning',
    'log_type notice',
    '',
    '# Devices: a certificate of the hub, not revoked; its name is user name and client id.',
    `listener ${devicePort}${address}`,
    ...tls,
    'use_username_as_clientid true',
    `cafile ${folder}/ca.crt`,
    `crlfile ${folder}/devices.crl`,
    '',
    "# The hub and its replicas: the hub's own certificate and no other.",
    `listener ${hubPort}${address}`,
    ...tls,
    `cafile ${folder}/hub.crt`,
    '',
  ].join('\n')
}

/**
 * The access rules as mosquitto's `acl_file`. `%u` is the device's name from its certificate. The level of the
 * site is left open: device ids are unique within a hub, which takes a message only under the device's own site.
 */
export function mosquittoAcl(): string {
  const from = (side: 'device' | 'hub'): MessageName[] =>
    messageNames.filter((name) => messages[name].from === side)
  const pattern = (name: MessageName): string => filterFor(name).replace(/\+\/\+/, '+/%u')
  return [
    '# Made by "./edgeloop hub broker-config" from the message table.',
    `user ${hubUserName}`,
    // What is retained of a device goes when the device is removed.
    ...from('device').map(
      (name) => `topic ${messages[name].retain ? 'readwrite' : 'read'} ${filterFor(name)}`,
    ),
    ...from('hub').map((name) => `topic write ${filterFor(name)}`),
    '',
    '# Every device: its own messages, and those for it.',
    ...from('device').map((name) => `pattern write ${pattern(name)}`),
    ...from('hub').map((name) => `pattern read ${pattern(name)}`),
    '',
  ].join('\n')
}
