/** `./edgeloop rollout …`, `device history|rollback|tag` and `site …` against a real hub with boxes. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { DeviceUpdates, RolloutDetail, RolloutPreview } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { openTestHub } from './fixture.ts'
import { fails, publishedFor, quick, SimulatedBox } from './simulated-box.ts'

test('a rollout is begun, watched, stopped and taken back from the terminal', {
  timeout: 240_000,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t, { site: 'mill' }, Date.now, {
    artifacts: publishedFor('door', [1, 2, 3]),
  })
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-rollout-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const plan = join(folder, 'plan.json')
  await writeFile(plan, JSON.stringify({ ...quick, note: 'from a file' }))
  const boxes: SimulatedBox[] = []
  for (let i = 0; i < 4; i++)
    boxes.push(await new SimulatedBox(await hub.enrol(`box-${i}`), 'door').connect())
  const edgeloop = (...words: string[]) => runCommand(hub, ...words)
  const json = async <T>(...words: string[]): Promise<T> => {
    const { code, stdout, stderr } = await edgeloop(...words, '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T
  }

  assert.match(
    (await edgeloop('site', 'time-zone', 'mill', 'Europe/Berlin')).stdout,
    /Clocks of mill show Europe\/Berlin/,
  )
  assert.match((await edgeloop('site', 'list')).stdout, /mill +Europe\/Berlin +4/)
  assert.match((await edgeloop('device', 'tag', 'box-0', 'pilot')).stdout, /Tags of "box-0": pilot/)
  const dry = await json<RolloutPreview>(
    'rollout',
    'create',
    'door/2',
    '--tag',
    'pilot',
    '--dry-run',
  )
  assert.deepEqual(dry.stages[0]?.first, ['box-0'])
  const said = await edgeloop('rollout', 'create', 'door/2', '--all', '--plan', plan, '--dry-run')
  assert.match(said.stdout, /^Version 2 of door for 4 devices:\n {2}canary +1 +1 reachable/)
  // Whoever is in a hurry is told what nobody will look at.
  assert.match(said.stdout, /^No device compares it with the model before on its live frames$/m)
  assert.match(said.stdout, /^On a probation of .* s no device can see that it finds less/m)
  const usual = await edgeloop('rollout', 'create', 'door/2', '--all', '--dry-run')
  assert.doesNotMatch(usual.stdout, /No device compares|no device can see/)
  // Nobody is there to approve.
  const unsure = await edgeloop('rollout', 'create', 'door/2', '--all', '--plan', plan)
  assert.deepEqual(
    [unsure.code, /Nothing was begun\nhint: add --yes/.test(unsure.stderr)],
    [1, true],
    unsure.stderr,
  )
  for (const [words, why] of [
    [['door', '--all'], /write NAME\/VERSION/],
    [['door/2'], /say --all, --site/],
    [['door/2', '--all', '--window', 'never'], /it is no days and hours/],
    [['door/2', '--all', '--stages', '200'], /write shares in percent/],
  ] as const) {
    const { code, stderr } = await edgeloop('rollout', 'create', ...words)
    assert.deepEqual([code, why.test(stderr)], [2, true], stderr)
  }

  const done = await edgeloop(
    'rollout',
    'create',
    'door/2',
    '--all',
    '--plan',
    plan,
    '--yes',
    '--watch',
  )
  assert.equal(done.code, 0, done.stderr)
  assert.match(
    done.stdout,
    /^Rollout [0-9a-f]{8} is complete: 2 of 2 reachable devices of stage "all" run it well/,
  )
  const list = await edgeloop('rollout', 'list')
  const id = /^([0-9a-f]{8}) +door\/2 +complete/m.exec(list.stdout)?.[1] ?? ''
  const shown = await edgeloop('rollout', 'show', id)
  assert.match(shown.stdout, /canary +█{30} 1\/1 passed/)
  assert.match(
    shown.stdout,
    /8\.0 kB sent by the hub, 0 B from box to box, 98 % less than whole files/,
  )
  assert.match(shown.stdout, /create by local: Asked for 4 devices/)
  assert.match(
    (await edgeloop('device', 'history', 'box-1')).stdout,
    /Runs door, version 2.*\n.*\n[0-9a-f]{8} +door\/2 +committed/,
  )
  assert.match(
    (await edgeloop('device', 'rollback', 'box-1', 'door')).stdout,
    /"box-1" was asked to go back from version 2/,
  )
  await t.waitFor(
    async () => {
      const { running, updates } = await json<DeviceUpdates>('device', 'history', 'box-1')
      assert.deepEqual([running[0]?.version, updates[0]?.state], [0, 'rolled-back'])
    },
    { interval: 300, timeout: 30_000 },
  )

  for (const box of boxes) box.course = fails('probe-golden')
  const bad = await edgeloop(
    'rollout',
    'create',
    'door/3',
    '--all',
    '--plan',
    plan,
    '--stages',
    '60,100',
    '--yes',
    '--watch',
  )
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /failed, and it stops at 2: probe-golden/)
  const [first] = (await edgeloop('rollout', 'list')).stdout.split('\n').slice(1)
  const stopped = first?.slice(0, 8) ?? ''
  assert.match(
    (await edgeloop('rollout', 'show', stopped)).stdout,
    /box-\d +1 +failed +probe-golden/,
  )
  const again = await json<RolloutDetail>('rollout', 'retry', stopped)
  assert.ok(['running', 'stopped'].includes(again.rollout.state))
  const over = await json<RolloutDetail>('rollout', 'abort', stopped, '--roll-back')
  assert.equal(over.rollout.state, 'aborted')
  const held = await json<RolloutDetail>(
    'rollout',
    'create',
    'door/3',
    '--device',
    'box-0',
    '--plan',
    plan,
    '--approval',
    'every-stage',
    '--yes',
  )
  const waits = held.rollout.rolloutId.slice(0, 8)
  assert.equal((await json<RolloutDetail>('rollout', 'pause', waits)).rollout.state, 'paused')
  await json<RolloutDetail>('rollout', 'resume', waits)
  const yes = await edgeloop('rollout', 'approve', waits)
  assert.equal(yes.code, 0, yes.stderr)
  const unknown = await edgeloop('rollout', 'show', 'nope')
  assert.match(unknown.stderr, /Cannot find a rollout that begins with "nope"/)
})
