/** The tests of this folder that ask the store, once more with the hub's store in PostgreSQL. */
import { test } from 'node:test'
import { needs } from '../require.ts'

/** Each list is one process of its own, so that none takes too long. */
export const storeTests = {
  devices: ['delivery', 'changes', 'desired', 'enrolment', 'certificates', 'places'],
  configurations: [
    'config-versions',
    'retirement',
    'installs',
    'retention',
    'trust',
    'artifacts',
    'forget',
  ],
  connections: [
    'connections',
    'device-acts',
    'clips',
    'models',
    'datasets',
    'runs',
    'field-samples',
    'inference',
  ],
  people: [
    'accounts',
    'audit',
    'people',
    'people-commands',
    'rollouts',
    'labelling',
    'label-arrivals',
    'drift',
    'drift-rounds',
    'pipelines',
  ],
} as const

/** What works the same with any store. */
export const otherTests = [
  // Who may do what follows from a person; how one is known by the store is in accounts and people.
  'access',
  'sample-ask',
  'attacks',
  'browser-attacks',
  'browser-tls',
  'external-broker',
  'replicas',
  's3',
  'live',
  'device-log',
  'telemetry',
  'store-away',
  'backups',
  'dataset-commands',
  'run-commands',
  'infer-commands',
  'dataset-jobs',
  'rollout-commands',
  'label-commands',
  'pipeline-commands',
  'pipeline-steps',
  'rollout-replicas',
  'dataset-pictures',
  'bundles',
  'publishing',
  'keys-commands',
  // Its rooms are tested on each store beside them.
  'rules',
  'home-assistant',
]

/** Registers the tests of one list, on PostgreSQL. */
export async function runOnPostgres(list: keyof typeof storeTests): Promise<void> {
  const missing = needs('postgresql')
  if (missing.skip) {
    test(`${list} on PostgreSQL`, missing)
    return
  }
  process.env.EDGELOOP_TEST_STORE = 'postgres'
  // What takes long (training, compiling) takes it beside the store, and ran once on SQLite.
  process.env.EDGELOOP_LEAVE_OUT = 'time'
  for (const name of storeTests[list]) await import(`./${name}.test.ts`)
}
