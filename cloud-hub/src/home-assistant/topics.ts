/**
 * The topics that others listen to, all under one prefix. Those of events and counts are named as Frigate names its own
 * (docs.frigate.video/integrations/mqtt), so that what was made for it understands them: `events`, `available`,
 * `CAMERA/LABEL`, `CAMERA/all`, `CAMERA/LABEL/snapshot`.
 */

/** A word as one level of a topic, and as part of an id that Home Assistant takes: letters, digits, `_` and `-`. */
export const plainWord = (word: string): string => word.trim().replace(/[^A-Za-z0-9_-]+/g, '_')

/** A stream under the name of a camera. */
export const cameraOf = (deviceId: string, streamId: string): string => `${deviceId}_${streamId}`

export type Topics = ReturnType<typeof topicsUnder>

export const topicsUnder = (prefix: string) => {
  const ofDevice = (deviceId: string) => `${prefix}/devices/${deviceId}`
  return {
    /** `online`, and `offline` as the last will. */
    available: `${prefix}/available`,
    events: `${prefix}/events`,
    count: (camera: string, label: string) => `${prefix}/${camera}/${plainWord(label)}`,
    /** The newest picture of a label, and the newest of all. */
    picture: (camera: string, label: string) => `${prefix}/${camera}/${plainWord(label)}/snapshot`,
    newest: (camera: string) => `${prefix}/${camera}/snapshot`,
    zone: (camera: string, zone: string) => `${prefix}/${camera}/zones/${plainWord(zone)}`,
    connected: (deviceId: string) => `${ofDevice(deviceId)}/connected`,
    alarm: (deviceId: string) => `${ofDevice(deviceId)}/alarm`,
    alarms: (deviceId: string) => `${ofDevice(deviceId)}/alarms`,
    update: (deviceId: string, model: string) => `${ofDevice(deviceId)}/models/${model}`,
    install: (deviceId: string, model: string) => `${ofDevice(deviceId)}/models/${model}/install`,
    installs: `${prefix}/devices/+/models/+/install`,
  }
}

/** Which device and model a command is about; undefined for any other topic. */
export function installOf(
  prefix: string,
  topic: string,
): { deviceId: string; model: string } | undefined {
  if (!topic.startsWith(`${prefix}/devices/`)) return undefined
  const [deviceId = '', word, model = '', act, ...rest] = topic
    .slice(`${prefix}/devices/`.length)
    .split('/')
  return word === 'models' && act === 'install' && rest.length === 0
    ? { deviceId, model }
    : undefined
}
