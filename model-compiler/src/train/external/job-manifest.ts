/**
 * An order as a Kubernetes Job: the folder of the order lies on a volume claim, the container runs as nobody, with no
 * rights, no account and a root file system that it cannot write to. Nothing of it was run on a cluster here; that it is a
 * Job is checked against the schema of the Kubernetes API.
 */
import type { IJob } from 'kubernetes-models/batch/v1/Job'
import { TrainError } from '../run/train-error.ts'
import { type ExternalLimits, exitCodes, names } from './contract.ts'

export type JobOptions = {
  /** Of the Job: lower-case letters, digits and dashes. */
  readonly name: string
  readonly namespace?: string
  /** With its digest, best: `registry/trainer@sha256:…`. */
  readonly image: string
  /** Instead of the image's own entry point; the path of the order comes behind it. */
  readonly command?: readonly string[]
  /** The persistent volume claim that holds the folder of the order, and where in it. */
  readonly claim: string
  readonly path: string
  readonly limits: ExternalLimits
  readonly cpus: number
  /** Of this resource: `nvidia.com/gpu`. */
  readonly gpus?: { readonly count: number; readonly resource: string }
  readonly nodeSelector?: Readonly<Record<string, string>>
}

const mountedAt = '/order'
const tmpBytes = 8 * 1024 ** 3
/** Pauses and evictions begin the pod again, which goes on from its checkpoint. */
const retries = 6
const keptSeconds = 7 * 24 * 3600
const nobody = 65_532
const nameForm = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** @throws {TrainError} when the name is none that Kubernetes takes, or the path leads out of the claim */
export function jobManifest(options: JobOptions): IJob {
  const { name, namespace, image, command, claim, path, limits, cpus, gpus, nodeSelector } = options
  if (!nameForm.test(name)) {
    throw new TrainError(
      `Cannot name the Job "${name}": Kubernetes takes lower-case letters, digits and dashes, at most 63`,
    )
  }
  const inside = path.split('/').filter((part) => part !== '' && part !== '.')
  if (path.startsWith('/') || inside.includes('..')) {
    throw new TrainError(
      `Cannot mount "${path}" of claim "${claim}": it leads out of it`,
      'give a path within the claim, such as runs/7',
    )
  }
  const subPath = inside.join('/')
  const memory = String(limits.memoryBytes)
  const amounts = {
    cpu: String(cpus),
    memory,
    ...(gpus && { [gpus.resource]: String(gpus.count) }),
  }
  const labels = {
    'app.kubernetes.io/name': 'edgeloop-training',
    'app.kubernetes.io/instance': name,
  }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, ...(namespace !== undefined && { namespace }), labels },
    spec: {
      backoffLimit: retries,
      activeDeadlineSeconds: Math.ceil(limits.seconds),
      ttlSecondsAfterFinished: keptSeconds,
      podFailurePolicy: {
        rules: [
          // What a trainer refuses once it refuses always.
          {
            action: 'FailJob',
            onExitCodes: { containerName: 'trainer', operator: 'In', values: [exitCodes.refused] },
          },
          // A pod that is moved elsewhere is no failure.
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
        ],
      },
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 120,
          ...(nodeSelector && { nodeSelector: { ...nodeSelector } }),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: nobody,
            runAsGroup: nobody,
            fsGroup: nobody,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'trainer',
              image,
              ...(command && { command: [...command] }),
              args: [`${mountedAt}/${names.order}`],
              env: [
                { name: 'EDGELOOP_ORDER', value: `${mountedAt}/${names.order}` },
                { name: 'HOME', value: '/tmp' },
              ],
              workingDir: mountedAt,
              resources: { requests: { ...amounts }, limits: { ...amounts } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [
                { name: 'order', mountPath: mountedAt, subPath, readOnly: true },
                {
                  name: 'order',
                  mountPath: `${mountedAt}/${names.output}`,
                  subPath: [subPath, names.output].filter((part) => part !== '').join('/'),
                },
                { name: 'tmp', mountPath: '/tmp' },
                { name: 'shm', mountPath: '/dev/shm' },
              ],
            },
          ],
          volumes: [
            { name: 'order', persistentVolumeClaim: { claimName: claim } },
            { name: 'tmp', emptyDir: { sizeLimit: String(tmpBytes) } },
            // Data loaders share batches there, and the default of 64 MiB is too little.
            {
              name: 'shm',
              emptyDir: { medium: 'Memory', sizeLimit: String(Math.floor(limits.memoryBytes / 4)) },
            },
          ],
        },
      },
    },
  }
}
