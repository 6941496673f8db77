/** `./edgeloop user …` and `./edgeloop token …` against a real hub. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openTestHub, testPassword } from './fixture.ts'

const program = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url))

test('people and tokens are kept from the terminal', { timeout: 120_000 }, async (t) => {
  const hub = await openTestHub(t)
  const url = hub.hub.urls.browser
  const { readFile } = await import('node:fs/promises')
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const edgeloop = (args: string[], as = token) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      const env = { ...process.env, EDGELOOP_HUB: url, EDGELOOP_TOKEN: as }
      execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) => {
        resolve({ code: error ? error.code : 0, stdout: stdout.trim(), stderr })
      })
    })

  const added = await edgeloop(['user', 'add', 'anna', '--role', 'operator'])
  const link = new URL(added.stdout)
  assert.equal(link.pathname + link.search, '/choose-password?user=anna')
  const linkToken = new URLSearchParams(link.hash.slice(1)).get('token')
  assert.match(added.stderr, /works once, until/)
  const chosen = await fetch(`${url}/api/session/by-password-link`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: linkToken, password: testPassword }),
  })
  assert.equal(chosen.status, 200)
  const listed = await edgeloop(['user', 'list'])
  assert.match(listed.stdout, /^anna +operator +set +1 +0 +\d+ s ago$/m)
  assert.equal((await edgeloop(['user', 'set-role', 'anna', 'admin'])).stdout, 'anna is admin')
  const again = JSON.parse((await edgeloop(['user', 'link', 'anna', '--json'])).stdout)
  assert.match(again.url, /#token=/)

  const made = await edgeloop(['token', 'add', 'line reports', '--days', '3'])
  assert.match(made.stdout, /^[\w-]{43}$/)
  const rows = (await edgeloop(['token', 'list', '--json'])).stdout.split('\n')
  const row = JSON.parse(rows[0] ?? '')
  assert.equal(row.name, 'line reports')
  assert.equal((await edgeloop(['device', 'list'], made.stdout)).code, 0)
  const refused = await edgeloop(['user', 'list'], made.stdout)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /needs the role admin, and you are viewer\nhint: /)
  await edgeloop(['token', 'remove', row.tokenId])
  assert.match((await edgeloop(['device', 'list'], made.stdout)).stderr, /sign in/)

  assert.match((await edgeloop(['user', 'remove', 'anna'])).stdout, /anna is removed/)
  const last = await edgeloop(['user', 'remove', 'owner'])
  assert.equal(last.code, 1)
  assert.match(last.stderr, /last admin/)
  const wrong = await edgeloop(['user', 'add', 'bert', '--role', 'king'])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /viewer, operator, admin/)
})
