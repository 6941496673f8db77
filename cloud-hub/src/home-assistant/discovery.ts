/**
 * A device of ours as Home Assistant discovers it: one retained message that says everything. Facts are from
 * home-assistant.io: `integrations/mqtt` (device discovery: topic `PREFIX/device/ID/config`; `device` and `origin` are
 * mandatory at the root, each component needs a `platform` and, as an entity, a `unique_id`; an empty retained message
 * removes the device), `integrations/update.mqtt` (a JSON state with installed and latest version, `payload_install`),
 * `integrations/binary_sensor.mqtt`, `sensor.mqtt`, `image.mqtt` (a topic that carries the bytes).
 */
import type { StreamScene } from './scene.ts'
import { cameraOf, plainWord, type Topics } from './topics.ts'

export type ShownDevice = {
  readonly deviceId: string
  readonly name: string
  readonly site: string
  readonly agentVersion: string
  readonly platform: string
  readonly streams: readonly {
    readonly streamId: string
    readonly name: string
    readonly scene: StreamScene
  }[]
  readonly models: readonly string[]
}

/** One entity; what it is called comes behind the name of its device. */
export type Component = {
  readonly platform: 'binary_sensor' | 'sensor' | 'image' | 'update'
  readonly unique_id: string
  readonly name: string
  readonly [option: string]: unknown
}

export type Discovery = {
  readonly device: Readonly<Record<string, unknown>>
  readonly origin: {
    readonly name: string
    readonly sw_version: string
    readonly support_url: string
  }
  readonly availability_topic: string
  readonly components: Readonly<Record<string, Component>>
  readonly qos: 1
}

/** Where the message goes. */
export const discoveryTopic = (prefix: string, deviceId: string): string =>
  `${prefix}/device/edgeloop_${deviceId}/config`

/** @param hub.installs whether a press of "Install" begins a rollout: without it there is no such button */
export function discoveryOf(
  shown: ShownDevice,
  topics: Topics,
  hub: { readonly version: string; readonly url: string; readonly installs: boolean },
): Discovery {
  const { deviceId } = shown
  const id = `edgeloop_${deviceId}`
  const components: Record<string, Component> = {}
  const add = (
    key: string,
    component: Omit<Component, 'unique_id'> & { name: string; platform: Component['platform'] },
  ) => {
    components[key] = { ...component, unique_id: `${id}_${key}` }
  }
  add('connected', {
    platform: 'binary_sensor',
    name: 'Connection',
    device_class: 'connectivity',
    state_topic: topics.connected(deviceId),
    entity_category: 'diagnostic',
  })
  add('alarm', {
    platform: 'binary_sensor',
    name: 'Alarm',
    device_class: 'problem',
    state_topic: topics.alarm(deviceId),
    json_attributes_topic: topics.alarms(deviceId),
    entity_category: 'diagnostic',
  })
  for (const { streamId, name, scene } of shown.streams) {
    const camera = cameraOf(deviceId, streamId)
    const called = name === '' ? streamId : name
    add(`${streamId}_picture`, {
      platform: 'image',
      name: `${called} newest picture`,
      content_type: 'image/jpeg',
      image_topic: topics.newest(camera),
    })
    for (const label of scene.labels) {
      add(`${streamId}_${plainWord(label)}`, {
        platform: 'sensor',
        name: `${called} ${label}`,
        state_class: 'measurement',
        state_topic: topics.count(camera, label),
        icon: 'mdi:counter',
      })
    }
    for (const zone of scene.zones) {
      add(`${streamId}_zone_${plainWord(zone)}`, {
        platform: 'binary_sensor',
        name: `${called} ${zone}`,
        device_class: 'occupancy',
        state_topic: topics.zone(camera, zone),
      })
    }
  }
  for (const model of shown.models) {
    add(`model_${plainWord(model)}`, {
      platform: 'update',
      name: `Model ${model}`,
      device_class: 'firmware',
      title: model,
      state_topic: topics.update(deviceId, model),
      ...(hub.installs
        ? { command_topic: topics.install(deviceId, model), payload_install: 'install' }
        : {}),
    })
  }
  return {
    device: {
      identifiers: [id],
      name: shown.name === '' ? deviceId : shown.name,
      manufacturer: 'Edgeloop',
      ...(shown.platform === '' ? {} : { model: shown.platform }),
      ...(shown.agentVersion === '' ? {} : { sw_version: shown.agentVersion }),
      suggested_area: shown.site,
      configuration_url: `${hub.url}/devices/${deviceId}`,
    },
    origin: { name: 'edgeloop', sw_version: hub.version, support_url: hub.url },
    availability_topic: topics.available,
    components,
    qos: 1,
  }
}

/** State of an `update` entity. Versions are words there. */
export type UpdateState = {
  readonly installed_version: string
  readonly latest_version: string
  readonly title: string
  readonly in_progress: boolean
  /** Null where it is not known how far it is. */
  readonly update_percentage: number | null
  readonly release_summary?: string
}

/** What a box that runs its own file says it runs. */
export const ownFile = 'own file'

/**
 * @param running version that the box runs; 0: its own file
 * @param latest newest that it could get; undefined where there is none
 * @param update the newest passage through a rollout, where one goes on
 */
export function updateOf(
  model: string,
  given: {
    running: number
    latest: number | undefined
    update: { version: number; state: string; done: number; total: number } | undefined
  },
): UpdateState {
  const { running, latest, update } = given
  const installed = running === 0 ? ownFile : String(running)
  const target = update?.version ?? latest
  // Home Assistant shows an update where the two differ: nothing older is offered as one.
  const newer = target !== undefined && (target > running || update !== undefined)
  const share = update && update.total > 0 ? update.done / update.total : undefined
  return {
    installed_version: installed,
    latest_version: newer ? String(target) : installed,
    title: model,
    in_progress: update !== undefined,
    update_percentage:
      update?.state === 'downloading' && share !== undefined ? Math.floor(share * 100) : null,
    ...(update ? { release_summary: `The update is ${update.state}` } : {}),
  }
}
