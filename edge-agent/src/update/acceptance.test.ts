import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Manifest, Offer } from '@edgeloop/protocol'
import { isOlder, manifestRefusal, pathRefusal } from './acceptance.ts'

const now = Date.parse('2026-06-01T00:00:00.000Z')
const box = { targets: ['linux-x64-vnni', 'linux-x64'], agentVersion: '0.4.1' }
const manifest = {
  fleet: 'here',
  targets: ['linux-x64'],
  name: 'parts',
  version: 3,
  agentMin: '0.4.0',
  expiresAt: '2026-07-01T00:00:00.000Z',
} as unknown as Manifest
const offer = { name: 'parts', version: 3 }
const codeOf = (change: Partial<Manifest>, at = now) =>
  manifestRefusal({ ...manifest, ...change }, offer, box, 'here', at)?.code

test('a signed manifest is refused where it is for something else, another box, or another time', () => {
  assert.equal(codeOf({}), undefined)
  assert.equal(codeOf({ name: 'people' }), 'integrity')
  assert.equal(codeOf({ version: 4 }), 'integrity')
  assert.equal(codeOf({ fleet: 'there' }), 'wrong-target')
  assert.equal(codeOf({ targets: ['linux-arm64'] }), 'wrong-target')
  assert.equal(codeOf({ targets: ['any'] }), undefined)
  assert.equal(codeOf({ agentMin: '0.5.0' }), 'agent-too-old')
  assert.equal(codeOf({}, Date.parse(manifest.expiresAt)), 'trust')
})

test('the path of a manifest is that of what is offered, for this kind of box or for any', () => {
  const at = (path: string) =>
    pathRefusal({ ...offer, manifest: { path } } as unknown as Offer, box)?.code
  assert.equal(at('manifests/parts/3/linux-x64.json'), undefined)
  assert.equal(at('manifests/parts/3/any.json'), undefined)
  assert.equal(at('manifests/parts/3/linux-arm64.json'), 'wrong-target')
  assert.equal(at('manifests/parts/30/any.json'), 'wrong-target')
  assert.equal(at('manifests/people/3/any.json'), 'wrong-target')
})

test('isOlder() compares the three numbers of versions', () => {
  assert.ok(isOlder('0.9.9', '0.10.0'))
  assert.ok(isOlder('0.4.1', '1.0.0'))
  assert.ok(!isOlder('0.4.1', '0.4.1'))
  assert.ok(!isOlder('1.0.0-rc.1', '0.9.0'))
  assert.ok(!isOlder('0.4.2', '0.4.1'))
})
