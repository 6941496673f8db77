import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import type { Store } from '../store/store.ts'
import { openEvents, scanRowsMax } from './events.ts'

for (const kind of storeKinds) {
  test(
    `${kind.name}: list() finds rare events at once where an index leads to them, and in steps where none does`,
    kind.needs,
    async (t) => {
      const { store } = await seeded(t, kind, scanRowsMax + 100)
      const events = openEvents({ store })
      const idsOf = ({ events }: { events: readonly { eventId: number }[] }) =>
        events.map(({ eventId }) => eventId)
      for (const [query, id] of [
        [{ kind: 'alarm' }, 1],
        [{ device: 'yard' }, 1],
        [{ label: 'dog' }, 2],
      ] as const) {
        const page = await events.list(query)
        assert.deepEqual([idsOf(page), page.next], [[id], null], JSON.stringify(query))
      }
      const first = await events.list({ stream: 'old' })
      assert.deepEqual(first.events, [])
      assert.ok(first.next !== null, 'a bounded number of rows was looked at')
      const second = await events.list({ stream: 'old', before: first.next })
      assert.deepEqual([idsOf(second), second.next], [[2, 1], null])
    },
  )
}

/** A store with two odd events, the oldest, and `count` ordinary ones and health figures after it. */
async function seeded(t: TestContext, kind: StoreKind, count: number): Promise<{ store: Store }> {
  const store = await kind.open(t)
  const statements = [
    `insert into device (device_key, device_id, site, name, enrolled_at, certificate_serial, certificate_not_after)
      values (1, 'gate', 'main', '', 0, '', 0), (2, 'yard', 'main', '', 0, '', 0)`,
    `insert into boot values (1, 1, '${randomUUID()}', 0, 0), (2, 2, '${randomUUID()}', 0, 0)`,
    `insert into event values (1, 2, 2, 1, 'alarm', 0, 0, 0, 'old', null, null, null, '{}')`,
    `insert into event values (2, 1, 1, 1, 'appeared', 0, 0, 0, 'old', 'dog', 0.5, null, '{}')`,
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})
      insert into event select i + 2, 1, 1, i + 1, case when i % 3 = 0 then 'health' else 'appeared' end, 0, 0, 0,
      'new', case when i % 3 = 0 then null else 'person' end, 0.5, null, '{}' from n`,
  ]
  for (const statement of statements) await sql.raw(statement).execute(store.writer)
  return { store }
}
