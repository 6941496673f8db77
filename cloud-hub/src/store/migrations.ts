/**
 * The store's schema as numbered steps. A step that has been released is never edited: the next change
 * is the next number. SQLite tables are STRICT, so that a wrong type is an error and not a surprise.
 */
import type { Desired } from '@edgeloop/protocol'
import { type CreateTableBuilder, type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { ConfigVersionTable } from './tables.ts'

/** Every migration by name; names sort in the order in which they run. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-devices-events-people': { up: first },
  '0002-people': { up: people },
  '0003-certificates-configurations': { up: certificatesAndConfigurations },
  '0006-event-marks': { up: eventMarks },
  '0013-connections': { up: connections },
  '0021-clips': { up: clips },
  '0022-moved-devices': { up: movedDevices },
  '0029-models-jobs': { up: modelsAndJobs },
  '0036-datasets': { up: datasets },
  '0037-runs': { up: runs },
  '0040-trust': { up: trust },
  '0041-publications': { up: publications },
}

async function first(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('device'))
    .addColumn('device_key', 'integer', (c) => c.primaryKey())
    .addColumn('device_id', 'text', (c) => c.notNull().unique())
    .addColumn('site', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('enrolled_at', 'integer', (c) => c.notNull())
    .addColumn('certificate_serial', 'text', (c) => c.notNull())
    .addColumn('certificate_not_after', 'integer', (c) => c.notNull())
    .addColumn('last_seen_at', 'integer')
    .addColumn('events_stored', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('reported', 'text')
    .addColumn('health', 'text')
    .addColumn('desired_version', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('desired', 'text')
    .execute()
  await strict(db.schema.createTable('enrolment_token'))
    .addColumn('token_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('device_id', 'text', (c) => c.notNull())
    .addColumn('site', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'integer', (c) => c.notNull())
    .addColumn('used_at', 'integer')
    .execute()
  await strict(db.schema.createTable('sign_in_token'))
    .addColumn('token_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('user_name', 'text', (c) => c.notNull())
    .addColumn('role', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'integer', (c) => c.notNull())
    .addColumn('used_at', 'integer')
    .execute()
  await strict(db.schema.createTable('session'))
    .addColumn('session_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('user_name', 'text', (c) => c.notNull())
    .addColumn('role', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('expires_at', 'integer', (c) => c.notNull())
    .execute()
  await strict(db.schema.createTable('boot'))
    .addColumn('boot_key', 'integer', (c) => c.primaryKey())
    .addColumn('device_key', 'integer', (c) => c.notNull().references('device.device_key'))
    .addColumn('boot_id', 'text', (c) => c.notNull())
    .addColumn('through', 'integer', (c) => c.notNull())
    .addColumn('first_at', 'integer', (c) => c.notNull())
    .addUniqueConstraint('boot_of_device', ['device_key', 'boot_id'])
    .execute()
  await strict(db.schema.createTable('event'))
    .addColumn('event_id', 'integer', (c) => c.primaryKey())
    .addColumn('device_key', 'integer', (c) => c.notNull().references('device.device_key'))
    .addColumn('boot_key', 'integer', (c) => c.notNull().references('boot.boot_key'))
    .addColumn('sequence', 'integer', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('received_at', 'integer', (c) => c.notNull())
    .addColumn('historical', 'integer', (c) => c.notNull())
    .addColumn('stream_id', 'text')
    .addColumn('label', 'text')
    .addColumn('score', 'real')
    .addColumn('snapshot', 'text')
    .addColumn('data', 'text', (c) => c.notNull())
    .execute()
  // The mark already keeps doubles out; this makes a bug there an error instead of a double.
  await db.schema
    .createIndex('event_sequence')
    .on('event')
    .columns(['boot_key', 'sequence'])
    .unique()
    .execute()
  // Pages of events are read backwards from a cursor; SQLite appends the row id to every index.
  await db.schema
    .createIndex('event_device')
    .on('event')
    .column('device_key')
    .where(sql`kind`, '<>', 'health')
    .execute()
  await db.schema
    .createIndex('event_label')
    .on('event')
    .column('label')
    .where('label', 'is not', null)
    .execute()
  // Events without a label are few, and their kinds are what people look for. A list of kinds as the
  // condition cost a third of an insert (measured), and no query with a parameter would have matched it.
  await db.schema
    .createIndex('event_unlabelled_kind')
    .on('event')
    .column('kind')
    .where(sql`label`, 'is', null)
    .execute()
  await strict(db.schema.createTable('health_figure'))
    .addColumn('event_id', 'integer', (c) => c.primaryKey())
    .addColumn('device_key', 'integer', (c) => c.notNull().references('device.device_key'))
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('cpu_share', 'real', (c) => c.notNull())
    .addColumn('memory_bytes', 'real', (c) => c.notNull())
    .addColumn('loop_p99_ms', 'real', (c) => c.notNull())
    .addColumn('outbox_events', 'real', (c) => c.notNull())
    .addColumn('streams', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('health_figure_time')
    .on('health_figure')
    .columns(['device_key', 'at'])
    .execute()
  await strict(db.schema.createTable('quarantine'))
    .addColumn('quarantine_id', 'integer', (c) => c.primaryKey())
    .addColumn('device_key', 'integer', (c) => c.notNull().references('device.device_key'))
    .addColumn('boot_id', 'text')
    .addColumn('sequence', 'integer')
    .addColumn('received_at', 'integer', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('data', 'text', (c) => c.notNull())
    .execute()
}

/** Accounts, API tokens and the audit log; sessions and links now belong to an account. */
async function people(db: Kysely<unknown>): Promise<void> {
  // Sessions and links from before there were accounts name none: they end.
  await db.schema.dropTable('session').execute()
  await db.schema.dropTable('sign_in_token').execute()
  await strict(db.schema.createTable('account'))
    .addColumn('user_name', 'text', (c) => c.primaryKey().notNull())
    .addColumn('role', 'text', (c) => c.notNull())
    .addColumn('password', 'text')
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('last_sign_in_at', 'integer')
    .execute()
  await strict(db.schema.createTable('sign_in_token'))
    .addColumn('token_hash', 'text', (c) => c.primaryKey().notNull())
    .addColumn('user_name', 'text', (c) =>
      c.notNull().references('account.user_name').onDelete('cascade'),
    )
    .addColumn('purpose', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'integer', (c) => c.notNull())
    .addColumn('used_at', 'integer')
    .execute()
  await strict(db.schema.createTable('session'))
    .addColumn('session_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('session_hash', 'text', (c) => c.notNull().unique())
    .addColumn('user_name', 'text', (c) =>
      c.notNull().references('account.user_name').onDelete('cascade'),
    )
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('last_seen_at', 'integer', (c) => c.notNull())
    .addColumn('expires_at', 'integer', (c) => c.notNull())
    .addColumn('address', 'text', (c) => c.notNull())
    .addColumn('client', 'text', (c) => c.notNull())
    .execute()
  await strict(db.schema.createTable('api_token'))
    .addColumn('token_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('token_hash', 'text', (c) => c.notNull().unique())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('role', 'text', (c) => c.notNull())
    .addColumn('user_name', 'text', (c) => c.references('account.user_name').onDelete('cascade'))
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('expires_at', 'integer')
    .addColumn('last_used_at', 'integer')
    .execute()
  await strict(db.schema.createTable('audit_entry'))
    .addColumn('audit_id', 'integer', (c) => c.primaryKey())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('actor', 'text')
    .addColumn('via', 'text', (c) => c.notNull())
    .addColumn('action', 'text', (c) => c.notNull())
    .addColumn('target', 'text', (c) => c.notNull())
    .addColumn('outcome', 'text', (c) => c.notNull())
    .addColumn('address', 'text', (c) => c.notNull())
    .addColumn('detail', 'text', (c) => c.notNull())
    .execute()
  for (const [name, column] of [
    ['audit_time', 'at'],
    ['audit_actor', 'actor'],
    ['audit_target', 'target'],
  ] as const) {
    await db.schema.createIndex(name).on('audit_entry').column(column).execute()
  }
}

/** Renewed certificates, retired devices, and what was wanted of a device before. */
async function certificatesAndConfigurations(db: Kysely<unknown>): Promise<void> {
  // One column each: SQLite adds no more at a time.
  const columns = { next_serial: 'text', next_not_after: 'integer', retired_at: 'integer' } as const
  for (const [name, type] of Object.entries(columns)) {
    await db.schema.alterTable('device').addColumn(name, type).execute()
  }
  await strict(db.schema.createTable('config_version'))
    .addColumn('device_key', 'integer', (c) => c.notNull().references('device.device_key'))
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('config', 'text', (c) => c.notNull())
    .addColumn('outcome', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('config_version_of_device', ['device_key', 'version'])
    .execute()
  // What is wanted now is the first version that is known; who wished it is not.
  type Before = { device: { device_key: number; desired: string | null } }
  type After = Before & { config_version: ConfigVersionTable }
  const known = db as Kysely<After>
  const devices = await known.selectFrom('device').select(['device_key', 'desired']).execute()
  for (const { device_key, desired } of devices) {
    if (desired === null) continue
    const { version, at, config } = JSON.parse(desired) as Desired
    const row = { device_key, version, at: Date.parse(at), config: JSON.stringify(config) }
    const rest = { author: '', outcome: 'sent', reason: '' }
    await known
      .insertInto('config_version')
      .values({ ...row, ...rest })
      .execute()
  }
}

/** What people say of events. Not tied to them by a key: events are removed in bulk, marks follow later. */
async function eventMarks(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('event_mark'))
    .addColumn('event_id', 'integer', (c) => c.notNull())
    .addColumn('mark', 'text', (c) => c.notNull())
    .addColumn('user_name', 'text', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('event_mark_of_user', ['event_id', 'mark', 'user_name'])
    .execute()
  await db.schema
    .createIndex('event_mark_kind')
    .on('event_mark')
    .columns(['mark', 'event_id'])
    .execute()
}

/** When a device came and went, beside its other newest states: one short row, never many. */
async function connections(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('device').addColumn('connections', 'text').execute()
}

/** A device keeps the site of its certificate and its topics when it is moved to another. */
async function movedDevices(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('device').addColumn('moved_to', 'text').execute()
}

/** Clips are looked for by the moment they show: few rows, found without a look at the others. */
async function clips(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createIndex('event_clip')
    .on('event')
    .columns(['device_key', 'stream_id', 'at'])
    .where(sql`kind`, '=', sql.lit('clip'))
    .execute()
}

/** The queue of long work, models and what was compiled of them. */
async function modelsAndJobs(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('job'))
    .addColumn('job_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('request', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('progress', 'real', (c) => c.notNull())
    .addColumn('step', 'text', (c) => c.notNull())
    .addColumn('error', 'text', (c) => c.notNull())
    .addColumn('cancelling', 'integer', (c) => c.notNull())
    .addColumn('attempts', 'integer', (c) => c.notNull())
    .addColumn('worker', 'text', (c) => c.notNull())
    .addColumn('lease_until', 'integer', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('started_at', 'integer')
    .addColumn('ended_at', 'integer')
    .execute()
  await db.schema.createIndex('job_state').on('job').columns(['state', 'created_at']).execute()
  await db.schema.createIndex('job_subject').on('job').columns(['subject', 'created_at']).execute()
  await strict(db.schema.createTable('model_version'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('layout', 'text', (c) => c.notNull())
    .addColumn('labels', 'text', (c) => c.notNull())
    .addColumn('description', 'text', (c) => c.notNull())
    .addColumn('note', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('size_bytes', 'integer', (c) => c.notNull())
    .addColumn('inspection', 'text', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('model_version_of_name', ['name', 'version'])
    .execute()
  await strict(db.schema.createTable('artifact'))
    .addColumn('artifact_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('target', 'text', (c) => c.notNull())
    .addColumn('chosen', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('size_bytes', 'integer', (c) => c.notNull())
    .addColumn('manifest_digest', 'text', (c) => c.notNull())
    .addColumn('report_digest', 'text', (c) => c.notNull())
    .addColumn('candidates', 'text', (c) => c.notNull())
    .addColumn('job_id', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('artifact_of_model')
    .on('artifact')
    .columns(['name', 'version'])
    .execute()
}

/** Samples under the digest of their picture, what each dataset says of them, and the lists that were frozen. */
async function datasets(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('sample'))
    .addColumn('digest', 'text', (c) => c.primaryKey().notNull())
    .addColumn('form', 'text', (c) => c.notNull())
    .addColumn('width', 'integer', (c) => c.notNull())
    .addColumn('height', 'integer', (c) => c.notNull())
    .addColumn('size_bytes', 'integer', (c) => c.notNull())
    .addColumn('thumbnail', 'text', (c) => c.notNull().defaultTo(''))
    .addColumn('added_at', 'integer', (c) => c.notNull())
    .execute()
  await strict(db.schema.createTable('dataset'))
    .addColumn('name', 'text', (c) => c.primaryKey().notNull())
    .addColumn('description', 'text', (c) => c.notNull())
    .addColumn('labels', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('inspection', 'text', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('changed_at', 'integer', (c) => c.notNull())
    .execute()
  await strict(db.schema.createTable('dataset_sample'))
    .addColumn('dataset', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('position', 'integer', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('site', 'text')
    .addColumn('stream_id', 'text')
    .addColumn('captured_at', 'integer')
    .addColumn('annotations', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('dataset_sample_of', ['dataset', 'digest'])
    .execute()
  await db.schema
    .createIndex('dataset_sample_position')
    .on('dataset_sample')
    .columns(['dataset', 'position'])
    .execute()
  await db.schema
    .createIndex('dataset_sample_digest')
    .on('dataset_sample')
    .column('digest')
    .execute()
  await strict(db.schema.createTable('dataset_mark'))
    .addColumn('dataset', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('word', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('count', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('dataset_mark_of', ['dataset', 'kind', 'word', 'digest'])
    .execute()
  await db.schema
    .createIndex('dataset_mark_digest')
    .on('dataset_mark')
    .columns(['dataset', 'digest'])
    .execute()
  await strict(db.schema.createTable('annotation_revision'))
    .addColumn('dataset', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('annotations', 'text', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('annotation_revision_of', ['dataset', 'digest', 'revision'])
    .execute()
  await strict(db.schema.createTable('dataset_version'))
    .addColumn('dataset', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('split_digest', 'text', (c) => c.notNull())
    .addColumn('labels', 'text', (c) => c.notNull())
    .addColumn('samples', 'integer', (c) => c.notNull())
    .addColumn('split', 'text', (c) => c.notNull())
    .addColumn('inspection', 'text', (c) => c.notNull())
    .addColumn('note', 'text', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('dataset_version_of', ['dataset', 'version'])
    .execute()
}

/** Runs with what they said, schedules that begin them, and where model versions come from. */
async function runs(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('run'))
    .addColumn('run_id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('job_id', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('asked', 'text', (c) => c.notNull())
    .addColumn('dataset', 'text', (c) => c.notNull())
    .addColumn('dataset_version', 'integer', (c) => c.notNull())
    .addColumn('dataset_digest', 'text', (c) => c.notNull())
    .addColumn('fold', 'integer')
    .addColumn('parent', 'text', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('layout', 'text', (c) => c.notNull())
    .addColumn('recipe', 'text', (c) => c.notNull())
    .addColumn('seed', 'integer', (c) => c.notNull())
    .addColumn('note', 'text', (c) => c.notNull())
    .addColumn('compile', 'text', (c) => c.notNull())
    .addColumn('step', 'integer', (c) => c.notNull())
    .addColumn('steps', 'integer', (c) => c.notNull())
    .addColumn('epoch', 'real', (c) => c.notNull())
    .addColumn('eta_ms', 'real')
    .addColumn('images_per_second', 'real', (c) => c.notNull())
    .addColumn('phase', 'text', (c) => c.notNull())
    .addColumn('loss', 'real')
    .addColumn('key_figure', 'text', (c) => c.notNull())
    .addColumn('error', 'text', (c) => c.notNull())
    .addColumn('resumed', 'integer', (c) => c.notNull())
    .addColumn('result', 'text', (c) => c.notNull())
    .addColumn('code_version', 'text', (c) => c.notNull())
    .addColumn('log', 'text', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('schedule', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('started_at', 'integer')
    .addColumn('ended_at', 'integer')
    .addColumn('heard_at', 'integer')
    .addColumn('active_ms', 'integer', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('run_newest').on('run').columns(['created_at']).execute()
  await db.schema.createIndex('run_state').on('run').columns(['state']).execute()
  await strict(db.schema.createTable('run_curve'))
    .addColumn('run_id', 'text', (c) => c.notNull())
    .addColumn('first_step', 'integer', (c) => c.notNull())
    .addColumn('last_step', 'integer', (c) => c.notNull())
    .addColumn('points', 'integer', (c) => c.notNull())
    .addColumn('data', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('run_curve_part', ['run_id', 'first_step'])
    .execute()
  await strict(db.schema.createTable('run_evaluation'))
    .addColumn('run_id', 'text', (c) => c.notNull())
    .addColumn('step', 'integer', (c) => c.notNull())
    .addColumn('samples', 'text', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('figures', 'text', (c) => c.notNull())
    .addColumn('best', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('run_evaluation_of_step', ['run_id', 'step', 'samples'])
    .execute()
  await strict(db.schema.createTable('run_file'))
    .addColumn('run_id', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('step', 'integer', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('size_bytes', 'integer', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('run_file_of_step', ['run_id', 'kind', 'step'])
    .execute()
  await db.schema.createIndex('run_file_digest').on('run_file').columns(['digest']).execute()
  await strict(db.schema.createTable('training_schedule'))
    .addColumn('name', 'text', (c) => c.primaryKey().notNull())
    .addColumn('enabled', 'integer', (c) => c.notNull())
    .addColumn('cause', 'text', (c) => c.notNull())
    .addColumn('run_request', 'text', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('last_at', 'integer')
    .addColumn('last_run', 'text', (c) => c.notNull())
    .addColumn('last_outcome', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .alterTable('model_version')
    .addColumn('champion', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()
  await db.schema
    .alterTable('model_version')
    .addColumn('standing', 'text', (c) => c.notNull().defaultTo(''))
    .execute()
  await db.schema.alterTable('model_version').addColumn('lineage', 'text').execute()
  // Until now the newest version of a name was what people worked with.
  await sql`update model_version set champion = 1 where version = (
    select max(other.version) from model_version as other where other.name = model_version.name
  )`.execute(db)
  await db.schema
    .createIndex('model_champion')
    .on('model_version')
    .column('name')
    .unique()
    .where(sql`champion`, '=', sql.lit(1))
    .execute()
}

/** Signed metadata of models, and what waits for a signature. */
async function trust(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('trust_file'))
    .addColumn('name', 'text', (c) => c.primaryKey().notNull())
    .addColumn('text', 'text', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .execute()
  await strict(db.schema.createTable('trust_revision'))
    .addColumn('id', 'integer', (c) => c.primaryKey())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .execute()
  await strict(db.schema.createTable('trust_staged'))
    .addColumn('path', 'text', (c) => c.primaryKey().notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('length_bytes', 'integer', (c) => c.notNull())
    .addColumn('at', 'integer', (c) => c.notNull())
    .execute()
}

/** What boxes may be offered, and the digests that they may fetch. */
async function publications(db: Kysely<unknown>): Promise<void> {
  await strict(db.schema.createTable('artifact_publication'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('target', 'text', (c) => c.notNull())
    .addColumn('targets', 'text', (c) => c.notNull())
    .addColumn('artifact_id', 'text')
    .addColumn('manifest_digest', 'text', (c) => c.notNull())
    .addColumn('manifest_bytes', 'integer', (c) => c.notNull())
    .addColumn('file_digest', 'text', (c) => c.notNull())
    .addColumn('file_bytes', 'integer', (c) => c.notNull())
    .addColumn('encodings', 'text', (c) => c.notNull())
    .addColumn('scale_epoch', 'integer', (c) => c.notNull())
    .addColumn('scales_digest', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'integer', (c) => c.notNull())
    .addColumn('author', 'text', (c) => c.notNull())
    .addColumn('published_at', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('artifact_publication_of', ['name', 'version', 'target'])
    .execute()
  await strict(db.schema.createTable('published_file'))
    .addColumn('digest', 'text', (c) => c.primaryKey().notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('size_bytes', 'integer', (c) => c.notNull())
    .execute()
}

function strict<T extends string>(
  table: CreateTableBuilder<T, never>,
): CreateTableBuilder<T, never> {
  return table.modifyEnd(sql`strict`)
}
