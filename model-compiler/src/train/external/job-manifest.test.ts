/** The Job against the schema of the Kubernetes API, and what it must never allow. No cluster is asked. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Job } from 'kubernetes-models/batch/v1/Job'
import { parse, stringify } from 'yaml'
import { externalLimitsDefault } from './contract.ts'
import { type JobOptions, jobManifest } from './job-manifest.ts'

const options: JobOptions = {
  name: 'gate-7',
  image: 'registry.example/trainer@sha256:abc',
  claim: 'training',
  path: 'runs/7',
  limits: externalLimitsDefault,
  cpus: 8,
  gpus: { count: 2, resource: 'nvidia.com/gpu' },
}

test('what is written is a Job, also after it went through YAML', () => {
  for (const given of [
    options,
    { ...options, namespace: 'vision', command: ['python', 'train.py'], path: '' },
    { ...options, nodeSelector: { disk: 'ssd' } },
  ]) {
    const manifest = jobManifest(given)
    new Job(manifest).validate()
    const read = parse(stringify(manifest))
    assert.deepEqual(read, manifest)
    new Job(read).validate()
  }
})

test('the schema refuses a Job that is none, so that the test above can fail', () => {
  const broken = jobManifest(options)
  const spec = { ...broken.spec!, backoffLimit: 'six' as unknown as number }
  assert.throws(() => new Job({ ...broken, spec }).validate(), /backoffLimit/)
})

test('the trainer has no rights, no account, and writes to its output alone', () => {
  const pod = jobManifest(options).spec!.template.spec!
  const [trainer] = pod.containers
  assert.equal(pod.automountServiceAccountToken, false)
  assert.equal(pod.securityContext?.runAsNonRoot, true)
  assert.deepEqual(trainer!.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  const writable = trainer!.volumeMounts!.filter(({ readOnly }) => !readOnly)
  assert.deepEqual(
    writable.map(({ mountPath, subPath }) => [mountPath, subPath ?? '']),
    [
      ['/order/output', 'runs/7/output'],
      ['/tmp', ''],
      ['/dev/shm', ''],
    ],
  )
  assert.deepEqual(trainer!.resources?.limits, {
    cpu: '8',
    memory: String(64 * 1024 ** 3),
    'nvidia.com/gpu': '2',
  })
})

test('a refused order is not tried again; names and paths that lead elsewhere are refused', () => {
  const [first] = jobManifest(options).spec!.podFailurePolicy!.rules
  assert.deepEqual([first!.action, first!.onExitCodes?.values], ['FailJob', [2]])
  assert.throws(() => jobManifest({ ...options, name: 'Gate 7' }), /lower-case letters/)
  for (const path of ['/etc', '../other', 'runs/../..']) {
    assert.throws(() => jobManifest({ ...options, path }), /leads out of it/)
  }
})
