/**
 * A hub that holds as many devices as asked for, without waiting for each to enrol: their records are
 * written into the closed store, as the hub itself would have left them.
 */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestHub } from '../hub/fixture.ts'

const sites = ['north', 'south', 'east', 'west', 'plant-1', 'plant-2', 'harbour', 'depot'] as const

/** Closes the hub, gives it `count` devices at eight sites, and opens it again. */
export async function addDevices(hub: TestHub, count: number): Promise<void> {
  await hub.close()
  const now = Date.now()
  using db = new DatabaseSync(join(hub.dataDir, 'hub.db'))
  const insert = db.prepare(`
    insert into device (device_id, site, name, enrolled_at, certificate_serial, certificate_not_after,
      last_seen_at, events_stored, reported, health)
    values (?, ?, ?, ?, 'seeded', ?, ?, ?, ?, ?)`)
  db.exec('begin')
  for (let n = 1; n <= count; n++) {
    const number = String(n).padStart(5, '0')
    const site = sites[n % sites.length] ?? sites[0]
    const at = now - (n % 3600) * 1000
    insert.run(
      `box-${number}`,
      site,
      `Box ${number} at ${site}`,
      now - n * 60_000,
      now + 90 * 86_400_000,
      at,
      n * 7,
      JSON.stringify(reported(n, at)),
      JSON.stringify(health(n, at)),
    )
  }
  db.exec('commit')
  db.close()
  await hub.reopen()
}

const moment = (at: number): string => new Date(at).toISOString()

function reported(n: number, at: number): object {
  return {
    at: moment(at),
    bootId: '00000000-0000-4000-8000-000000000000',
    startedAt: moment(at - 3_600_000),
    agentVersion: n % 9 === 0 ? '0.0.9' : '0.1.0',
    platform: 'linux arm64',
    cpu: 'Cortex-A76',
    cores: 4,
    memoryBytes: 8e9,
    configVersion: 0,
    streams: ['gate', 'yard'].map((streamId) => ({
      streamId,
      name: streamId,
      source: 'demo:1',
      state: 'live',
      reason: '',
      since: moment(at),
    })),
    models: [],
  }
}

function health(n: number, at: number): object {
  return {
    sequence: n,
    kind: 'health',
    at: moment(at),
    intervalMs: 10_000,
    cpuShare: (n % 97) / 100,
    memoryBytes: 150e6 + n * 1000,
    loopP99Ms: 3,
    outboxEvents: 0,
    outboxBytes: 0,
    diskFreeBytes: 12e9,
    streams: [],
  }
}
