/**
 * Tells a broker of others what the fleet sees, for Home Assistant and for what understands Frigate's topics. One hub of
 * several does it. States are retained and said again whenever the broker comes back; `events` is live only: who must
 * not miss one sets up a rule.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import { type DeviceUpdates, updateStates } from '@edgeloop/protocol'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import type { Logger } from 'pino'
import type { HubConfig } from '../configuration.ts'
import { type Device, siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import { openLease } from '../rollouts/lease.ts'
import { newestEventId, readEventsAfter } from '../rules/read-events.ts'
import type { Store } from '../store/store.ts'
import { discoveryOf, discoveryTopic, type ShownDevice, updateOf } from './discovery.ts'
import { frigateEvent } from './frigate-event.ts'
import { countOf, isOccupied, openScene } from './scene.ts'
import { cameraOf, installOf, topicsUnder } from './topics.ts'

/** How often it is looked without a reason. */
const lookIntervalMs = 1000
/** What is stored within this time is told together. */
const gatherMs = 50
/** Devices whose models are looked at in one look: a large fleet is gone through in turns. */
const devicesPerLook = 20
/** Messages that the broker has not taken yet; beyond it nothing is said until it has, and then everything anew. */
const unsentMax = 5000
/** A picture comes after its event: so long it is waited for. */
const pictureWaitMs = 20_000
const picturesWaitingMax = 500
/** A device is not begun with anew within this time, however often somebody presses. */
const installIntervalMs = 60_000
/** Events from which the labels of streams are known after a start. */
const labelEvents = 50_000

export type HomeAssistant = AsyncDisposable & {
  /** Events were stored. */
  wake(): void
}

export function openHomeAssistant(deps: {
  config: HubConfig['homeAssistant']
  store: Store
  fleet: Fleet
  clock: () => number
  log: Logger
  alone: boolean
  version: string
  /** Where people reach this hub. */
  url: () => string
  readPicture: (digest: string) => Promise<Uint8Array | undefined>
  updatesOf: (deviceId: string) => Promise<DeviceUpdates>
  /** The newest version of a model that a device could be offered; undefined where there is none. */
  latestFor: (model: string, device: Device) => Promise<number | undefined>
  /** Begins to move one device to a version. @throws {Error} where that cannot be */
  begin: (deviceId: string, model: string, version: number) => Promise<void>
  failed: (error: unknown) => void
}): HomeAssistant {
  const { config, store, fleet, clock, log, failed } = deps
  const topics = topicsUnder(config.topicPrefix)
  const lease = openLease({ store, name: 'home-assistant', clock, alone: deps.alone })
  const scene = openScene()
  const closing = new AbortController()
  let woken = new AbortController()
  let client: MqttClient | undefined
  let cursor: number | undefined
  let unsent = 0
  /** Everything is said anew. */
  let isStale = true
  /** What was said last, by topic. */
  const said = new Map<string, string>()
  /** Discovery topics of devices that were said. */
  const shown = new Set<string>()
  const pictures = new Map<string, { digest: string; until: number }>()
  const updates = new Map<string, { model: string; state: string }[]>()
  const installs = new Map<string, number>()
  /** What is being looked at for a press: another one meanwhile asks for the same. */
  const pressed = new Set<string>()
  let turn = 0

  const canSay = (): boolean => client?.connected === true && unsent < unsentMax

  function publish(topic: string, payload: string | Buffer, retain: boolean): void {
    if (!client || !canSay()) {
      isStale = true
      return
    }
    unsent++
    client.publish(topic, payload, { qos: 1, retain }, (error) => {
      unsent--
      if (error) isStale = true
    })
  }

  /** Says a state where it is another than before. */
  function put(topic: string, payload: string): void {
    if (said.get(topic) === payload) return
    if (!canSay()) {
      isStale = true
      return
    }
    said.set(topic, payload)
    publish(topic, payload, true)
  }

  async function connect(): Promise<void> {
    const ca = config.caFile === '' ? undefined : await readFile(config.caFile, 'utf8')
    const options: IClientOptions = {
      ...(config.username === '' ? {} : { username: config.username, password: config.password }),
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
      reconnectPeriod: 5000,
      connectTimeout: 10_000,
      clean: true,
      queueQoSZero: false,
      resubscribe: false,
      will: { topic: topics.available, payload: Buffer.from('offline'), qos: 1, retain: true },
    }
    const made = mqtt.connect(config.url, options)
    client = made
    made.on('connect', () => {
      log.info('the broker of Home Assistant is there')
      isStale = true
      unsent = 0
      made.publish(topics.available, 'online', { qos: 1, retain: true })
      const wanted = [
        `${config.discoveryPrefix}/status`,
        ...(mayInstall() ? [topics.installs] : []),
      ]
      made.subscribe(wanted, { qos: 1 })
      woken.abort()
    })
    made.on('error', (error) => log.warn({ why: error.message }, 'the broker of Home Assistant'))
    made.on('message', (topic, payload, packet) => {
      // "online" after a start of Home Assistant: it may have forgotten what was not retained.
      if (topic === `${config.discoveryPrefix}/status`) isStale ||= payload.toString() === 'online'
      // A command that the broker kept is somebody's of another day.
      else if (!packet.retain && payload.toString() === 'install') void install(topic).catch(failed)
      woken.abort()
    })
  }

  const mayInstall = (): boolean => config.install === 'begin'

  async function install(topic: string): Promise<void> {
    const wanted = installOf(config.topicPrefix, topic)
    const device = wanted && fleet.find(wanted.deviceId)
    if (!wanted || !device || device.retiredAt !== null || !mayInstall()) return
    const { deviceId, model } = wanted
    const key = `${deviceId} ${model}`
    const last = installs.get(key)
    if (pressed.has(key)) return
    if (last !== undefined && Math.abs(clock() - last) < installIntervalMs) return
    pressed.add(key)
    try {
      if (await begin(device, model)) installs.set(key, clock())
    } finally {
      pressed.delete(key)
    }
  }

  /** @returns false where there was nothing to begin */
  async function begin(device: Device, model: string): Promise<boolean> {
    const { deviceId } = device
    const said = await deps.updatesOf(deviceId)
    const latest = await deps.latestFor(model, device)
    if (latest === undefined || latest <= runningOf(device, said, model)) return false
    // It is on its way already, or stands in a queue for it: that is what was asked for.
    const isAsked = said.updates.some(
      ({ name, version, state }) =>
        name === model && (isUnderWay(state) || (state === 'waiting' && version === latest)),
    )
    if (isAsked) return false
    await deps.begin(deviceId, model, latest).catch((error: Error) => {
      log.warn({ deviceId, model, why: error.message }, 'an update could not be begun')
    })
    return true
  }

  /** Labels that streams showed lately: without them entities would come and go with restarts. */
  async function recallLabels(): Promise<void> {
    const newest = await newestEventId(store)
    cursor ??= newest
    const rows = await store.reader
      .selectFrom('event')
      .innerJoin('device', 'device.device_key', 'event.device_key')
      .select(['device.device_id', 'event.stream_id', 'event.label'])
      .distinct()
      .where('event.event_id', '>', newest - labelEvents)
      .where('event.label', 'is not', null)
      .execute()
    for (const { device_id, stream_id, label } of rows) {
      if (stream_id !== null && label !== null)
        scene.expect(device_id, stream_id, { labels: [label] })
    }
  }

  async function tellEvents(): Promise<void> {
    for (let more = true; more && !closing.signal.aborted; ) {
      const { events, through } = await readEventsAfter({ store, fleet }, cursor ?? 0)
      more = events.length > 0
      cursor = through
      for (const { event } of events) {
        const change = scene.take(event)
        const device = fleet.find(event.deviceId)
        if (!change || !device || event.streamId === null) continue
        const camera = cameraOf(event.deviceId, event.streamId)
        const size =
          device.reported?.streams.find(({ streamId }) => streamId === event.streamId) ?? {}
        publish(topics.events, JSON.stringify(frigateEvent(change, camera, size)), false)
        const { snapshot } = event
        if (snapshot === null || pictures.size >= picturesWaitingMax) continue
        const waiting = { digest: snapshot, until: clock() + pictureWaitMs }
        pictures.set(topics.picture(camera, change.after.label), waiting)
        pictures.set(topics.newest(camera), waiting)
      }
    }
  }

  async function tellPictures(): Promise<void> {
    for (const [topic, { digest, until }] of pictures) {
      if (!canSay()) return
      const bytes = await deps.readPicture(digest)
      if (bytes) publish(topic, Buffer.from(bytes), true)
      if (bytes || clock() > until) pictures.delete(topic)
    }
  }

  function tellDevice(device: Device): void {
    const { deviceId } = device
    const streams = (device.reported?.streams ?? []).map(({ streamId, name }) => {
      const config = device.desired?.config.streams.find((one) => one.streamId === streamId)
      scene.expect(deviceId, streamId, { zones: (config?.zones ?? []).map((zone) => zone.name) })
      return { streamId, name, scene: scene.stream(deviceId, streamId) }
    })
    const models = (updates.get(deviceId) ?? []).map(({ model }) => model)
    const about: ShownDevice = {
      deviceId,
      name: device.name,
      site: siteOf(device),
      streams,
      models,
      agentVersion: device.reported?.agentVersion ?? '',
      platform: device.reported?.platform ?? '',
    }
    const hub = { version: deps.version, url: deps.url(), installs: mayInstall() }
    const place = discoveryTopic(config.discoveryPrefix, deviceId)
    shown.add(deviceId)
    put(place, JSON.stringify(discoveryOf(about, topics, hub)))
    put(topics.connected(deviceId), device.online ? 'ON' : 'OFF')
    const alarms = scene.alarms(deviceId)
    put(topics.alarm(deviceId), alarms.length > 0 ? 'ON' : 'OFF')
    put(topics.alarms(deviceId), JSON.stringify({ alarms }))
    for (const { streamId, scene: stream } of streams) {
      const camera = cameraOf(deviceId, streamId)
      put(topics.count(camera, 'all'), String(countOf(stream)))
      for (const label of stream.labels) {
        put(topics.count(camera, label), String(countOf(stream, label)))
      }
      for (const zone of stream.zones) {
        put(topics.zone(camera, zone), isOccupied(stream, zone) ? 'ON' : 'OFF')
      }
    }
    for (const { model, state } of updates.get(deviceId) ?? []) {
      put(topics.update(deviceId, model), state)
    }
  }

  /** Models of some devices in turn. */
  async function lookAtModels(devices: readonly Device[]): Promise<void> {
    for (let n = 0; n < Math.min(devicesPerLook, devices.length); n++) {
      const device = devices[turn++ % devices.length]
      if (!device) continue
      const said = await deps.updatesOf(device.deviceId)
      const states: { model: string; state: string }[] = []
      const models = [...(device.reported?.models ?? []), ...said.running]
      for (const name of new Set(models.map((model) => model.name))) {
        const open = said.updates.find((one) => one.name === name && isUnderWay(one.state))
        const state = updateOf(name, {
          running: runningOf(device, said, name),
          latest: await deps.latestFor(name, device),
          update: open && { version: open.version, state: open.state, ...open.bytes },
        })
        states.push({ model: name, state: JSON.stringify(state) })
      }
      updates.set(device.deviceId, states)
    }
  }

  function forget(deviceId: string): void {
    shown.delete(deviceId)
    updates.delete(deviceId)
    scene.forget(deviceId)
    for (const topic of said.keys()) {
      if (topic.startsWith(`${topics.connected(deviceId).slice(0, -'/connected'.length)}/`)) {
        said.delete(topic)
        publish(topic, '', true)
      }
    }
    // An empty message is the end of the device there.
    said.delete(discoveryTopic(config.discoveryPrefix, deviceId))
    publish(discoveryTopic(config.discoveryPrefix, deviceId), '', true)
  }

  async function look(): Promise<void> {
    if (!(await lease.hold())) {
      await leave()
      return
    }
    if (!client) {
      await recallLabels()
      await connect()
    }
    if (isStale && client?.connected && unsent === 0) {
      isStale = false
      said.clear()
    }
    await tellEvents()
    scene.age(clock())
    const devices = [...fleet.all()].filter(({ retiredAt }) => retiredAt === null)
    await lookAtModels(devices)
    const there = new Set(devices.map(({ deviceId }) => deviceId))
    for (const deviceId of shown) if (!there.has(deviceId)) forget(deviceId)
    for (const device of devices) tellDevice(device)
    await tellPictures()
  }

  /** Another hub tells it from now on, or nobody. */
  async function leave(): Promise<void> {
    const gone = client
    client = undefined
    if (!gone) return
    if (gone.connected) {
      await Promise.race([
        gone.publishAsync(topics.available, 'offline', { qos: 1, retain: true }).catch(() => {}),
        sleep(1000),
      ])
    }
    await Promise.race([gone.endAsync().catch(() => {}), sleep(1000)])
    gone.end(true)
  }

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      woken = new AbortController()
      await look().catch(failed)
      const either = AbortSignal.any([closing.signal, woken.signal])
      await sleep(lookIntervalMs, undefined, { signal: either, ref: false }).catch(() => {})
      await sleep(gatherMs, undefined, { signal: closing.signal, ref: false }).catch(() => {})
    }
  }
  const running = loop()

  return {
    wake: () => woken.abort(),
    async [Symbol.asyncDispose]() {
      closing.abort()
      await running
      await leave()
      await lease.release().catch(failed)
    },
  }
}

/** The version that a device runs of a model; 0: its own file. What it says of its models is newer than its report. */
const runningOf = ({ reported }: Device, { running }: DeviceUpdates, model: string): number =>
  (
    running.find(({ name }) => name === model) ??
    reported?.models.find(({ name }) => name === model)
  )?.version ?? 0

/** True from the offer to the end of probation. */
const isUnderWay = (state: string): boolean =>
  updateStates[state as keyof typeof updateStates]?.kind === 'active'
