/** Retention as people see it: what would go is said before, by the command and the route. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Retention } from '@edgeloop/protocol'
import { runCommand } from './command.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const dayMs = 86_400_000
const wide = { timeout: 120_000 }

test(
  'a dry run says what would go and removes nothing; the run removes just that',
  wide,
  async (t) => {
    const hub = await openTestHub(t, { eventsKeptDays: 30 })
    await hub.enrol('gate')
    const at = Date.now()
    await hub.inStore(async (store) => {
      const days = [40, 40, 40, 1]
      for (const [i, day] of days.entries()) {
        const event = [i + 1, 'alarm', at, 0, null, null, null, null, '{}']
        const bootId = '0'.repeat(36)
        const batch = { deviceKey: 1, bootId, expected: i, through: i + 1, events: event }
        await store.commit([
          { ...batch, receivedAt: at - day * dayMs, health: [], quarantined: [] },
        ])
      }
    })
    for (let again = 0; again < 2; again++) {
      const dry = await runCommand(hub, 'store', 'retention', '--dry-run')
      assert.equal(dry.code, 0, dry.stderr)
      assert.match(dry.stdout, /^events +30 d +3 /m)
      assert.match(dry.stderr, /nothing was removed; next by itself at /)
    }
    const run = await runCommand(hub, 'store', 'retention', '--json')
    const begun = JSON.parse(run.stdout) as Retention
    assert.deepEqual([begun.running, begun.kinds[0]?.expired], [true, 3])
    await t.waitFor(async () => assert.equal((await show(hub)).kinds[0]?.expired, 0), {
      timeout: 30_000,
    })
    const { events } = (await (await hub.api('GET', '/api/events')).json()) as { events: object[] }
    assert.equal(events.length, 1)
  },
)

const show = async (hub: TestHub): Promise<Retention> =>
  (await (await hub.api('GET', '/api/store/retention')).json()) as Retention
