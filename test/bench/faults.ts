/**
 * The fault story in full: kills and cuts over agents, media processes, hub and broker link while
 * 100,000 events flow, then a disk that is full. What was lost, what was doubled.
 * `npm run bench -- faults [--events N] [--faults N] [--agents N] [--rate N] [--seed N]`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type FaultReport, runFaults } from '../faults/fault-run.ts'
import { type FullDiskReport, runFullDisk } from '../faults/full-disk-run.ts'
import type { Bench } from './bench.ts'

/** Overflows the space that is set aside on a full disk about twice. */
const fullDiskEvents = 60_000
const fullDiskEventsPerSecond = 6000

export const bench: Bench = async ({ args, signal }) => {
  const { values } = parseArgs({
    args,
    options: {
      events: { type: 'string', default: '100000' },
      faults: { type: 'string', default: '60' },
      agents: { type: 'string', default: '3' },
      rate: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    },
  })
  const seed = Number(values.seed)
  console.error(`seed ${seed}`)
  const storm = await inFolder((folder) =>
    runFaults({
      folder,
      seed,
      signal,
      agents: Number(values.agents),
      events: Number(values.events),
      eventsPerSecond: Number(values.rate),
      faults: Number(values.faults),
      onFault: (text) => console.error(text),
    }),
  )
  const fullDisk = await inFolder((folder) =>
    runFullDisk({
      folder,
      what: 'disk',
      signal,
      events: fullDiskEvents,
      eventsPerSecond: fullDiskEventsPerSecond,
    }),
  )
  if (!fullDisk) console.error('no full disk: no small disk may be mounted here')
  const reached = isClean(storm) && storm.lossRecords === 0 && (!fullDisk || isExact(fullDisk))
  return {
    name: 'faults',
    rows: [rowOf('kills and cuts', storm), ...(fullDisk ? [rowOf('full disk', fullDisk)] : [])],
    json: { reached, seed, storm, fullDisk: fullDisk ?? null },
  }
}

const isClean = ({ lost, doubled, gaps, quarantined, left }: FaultReport | FullDiskReport) =>
  lost + doubled + gaps + quarantined + left === 0

/** The hub was told exactly what the box counted, and classes gave way in their order. */
function isExact(report: FullDiskReport): boolean {
  const { givenUp, givenUpOnBox, outOfOrder } = report
  const same = JSON.stringify(givenUp) === JSON.stringify(givenUpOnBox)
  return isClean(report) && same && outOfOrder === 0 && givenUp.events > 0 && givenUp.alarms === 0
}

function rowOf(story: string, report: FaultReport | FullDiskReport) {
  const done = Object.entries('faults' in report ? report.faults : {})
  const count = (kill: boolean) =>
    done.reduce((sum, [kind, n]) => sum + (kind.startsWith('kill') === kill ? n : 0), 0)
  const { recorded, stored, boots, lost, doubled, gaps, quarantined, left, givenUp } = report
  return {
    story,
    kills: count(true),
    cuts: count(false),
    recorded,
    stored,
    boots,
    lost,
    doubled,
    gaps,
    quarantined,
    left,
    'gave way': `${givenUp.aggregates} aggregates, ${givenUp.events} events, ${givenUp.alarms} alarms`,
  }
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-faults-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
