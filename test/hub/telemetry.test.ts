/** What the hub says about itself, and what pages say to it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestHub } from './fixture.ts'

test('web vitals and errors of a page become metrics', async (t) => {
  const hub = await openTestHub(t)
  const beacon = {
    meta: { page: { url: 'http://localhost/?token=secret' } },
    measurements: [
      { type: 'web-vitals', values: { lcp: 1200 } },
      { type: 'web-vitals', values: { cls: 0.01, lcp: 'soon', fcp: -1 } },
      null,
    ],
    exceptions: [{ type: 'TypeError', value: 'x is undefined' }],
  }
  assert.equal((await hub.api('POST', '/api/telemetry', beacon)).status, 204)
  const text = await (await hub.api('GET', '/metrics')).text()
  assert.match(text, /edgeloop_web_vital_sum\{vital="lcp"\} 1\.2/)
  assert.match(text, /edgeloop_web_vital_count\{vital="cls"\} 1/)
  assert.doesNotMatch(text, /vital="fcp"/)
  assert.match(text, /edgeloop_web_errors_total 1/)
})

test('beacons are bounded, and nonsense in them is left', async (t) => {
  const hub = await openTestHub(t)
  const many = { exceptions: Array.from({ length: 5000 }, () => ({ value: 'x' })) }
  assert.equal((await hub.api('POST', '/api/telemetry', many)).status, 204)
  const text = await (await hub.api('GET', '/metrics')).text()
  assert.match(text, /edgeloop_web_errors_total 100\n/)
  for (const odd of [{}, { measurements: 7, exceptions: 'x' }, { meta: null, exceptions: [7] }]) {
    assert.equal((await hub.api('POST', '/api/telemetry', odd)).status, 204)
  }
  assert.equal((await hub.api('POST', '/api/telemetry', { x: 'y'.repeat(300_000) })).status, 413)
  assert.equal((await hub.api('POST', '/api/telemetry', [])).status, 400)
})

test('metrics are those of this hub', async (t) => {
  const hub = await openTestHub(t)
  await openTestHub(t)
  await hub.enrol('gate')
  const text = await (await hub.api('GET', '/metrics')).text()
  for (const name of [
    'edgeloop_devices_online 0',
    'edgeloop_events_stored 0',
    'edgeloop_ingest_queue_bytes 0',
    'process_cpu_seconds_total',
  ]) {
    assert.ok(text.includes(name), name)
  }
})
