/** Whether acts are in the audit log, for tests of acts that the walk of audit.test.ts cannot make by itself. */
import assert from 'node:assert/strict'
import type { AuditPage, RouteName } from '@edgeloop/protocol'
import type { TestHub } from './fixture.ts'

/** Each of these was done at least once, and has its entry. */
export async function assertAudited(hub: TestHub, ...acts: readonly RouteName[]): Promise<void> {
  for (const act of acts) {
    const reply = await hub.api('GET', `/api/audit?action=${act}`)
    const { entries } = (await reply.json()) as AuditPage
    assert.ok(
      entries.some(({ outcome }) => outcome === 'done'),
      `${act} left no entry`,
    )
  }
}
