/**
 * Training as a Kubernetes Job, in two steps: the order and the Job's manifest are written, somebody gives both to the cluster,
 * and when the trainer has left its result, the same command takes it. We never talk to a cluster.
 */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { TrainError } from '../run/train-error.ts'
import { type Accepted, acceptModel } from './accept-model.ts'
import { type ExternalOrder, names } from './contract.ts'
import { type JobOptions, jobManifest } from './job-manifest.ts'
import { type OrderParts, prepareOrder } from './prepare-order.ts'

/** What a user says of the Job. */
export type JobWish = Pick<
  JobOptions,
  'image' | 'claim' | 'path' | 'cpus' | 'namespace' | 'gpus'
> & {
  readonly memoryBytes?: number
  readonly seconds?: number
}

export const manifestName = 'job.yaml'

const numbers = { cpus: 1024, gpus: 1024, memoryGiB: 65_536, hours: 10_000 } as const
const keys = ['claim', 'path', 'namespace', 'cpus', 'gpus', 'gpuResource', 'memoryGiB', 'hours']

/**
 * Reads `IMAGE?claim=NAME&path=runs/7&cpus=8&gpus=1&memoryGiB=16&hours=12`.
 * @throws {TrainError} when the claim is missing, a key is unknown or a number is none
 */
export function jobWishOf(text: string): JobWish {
  const cut = text.indexOf('?')
  const image = cut < 0 ? text : text.slice(0, cut)
  const given = new URLSearchParams(cut < 0 ? '' : text.slice(cut + 1))
  const unknown = [...given.keys()].find((key) => !keys.includes(key))
  if (unknown !== undefined) {
    throw new TrainError(
      `Cannot make a Job of "${text}": there is no setting "${unknown}"`,
      `settings are ${keys.join(', ')}`,
    )
  }
  const claim = given.get('claim') ?? ''
  if (image === '' || claim === '') {
    throw new TrainError(
      `Cannot make a Job of "${text}": the ${image === '' ? 'image' : 'claim'} is missing`,
      'for example kubernetes:registry/trainer:1?claim=training&path=runs/7&gpus=1',
    )
  }
  const numberOf = (key: keyof typeof numbers): number | undefined => {
    const value = given.get(key)
    if (value === null) return undefined
    const number = Number(value)
    if (value.trim() !== '' && number > 0 && number <= numbers[key]) return number
    throw new TrainError(
      `Cannot make a Job with ${key}=${value}: it is a number up to ${numbers[key]}`,
    )
  }
  const [gpus, memory, hours] = [numberOf('gpus'), numberOf('memoryGiB'), numberOf('hours')]
  const namespace = given.get('namespace')
  return {
    image,
    claim,
    path: given.get('path') ?? '',
    cpus: numberOf('cpus') ?? 4,
    ...(namespace !== null && { namespace }),
    ...(gpus !== undefined && {
      gpus: { count: Math.ceil(gpus), resource: given.get('gpuResource') ?? 'nvidia.com/gpu' },
    }),
    ...(memory !== undefined && { memoryBytes: Math.ceil(memory * 1024 ** 3) }),
    ...(hours !== undefined && { seconds: Math.ceil(hours * 3600) }),
  }
}

/**
 * @param folder of the order; the Job is named after the run's folder around it
 * @returns what was left there, or `ordered` where nothing is yet
 * @throws {TrainError} as `prepareOrder`, `jobManifest` and `acceptModel`
 */
export async function orderJob(
  parts: OrderParts,
  wish: JobWish,
  folder: string,
  signal?: AbortSignal,
): Promise<Accepted | 'ordered'> {
  // Written again: what came back from elsewhere says nothing of what was ordered.
  const order = await prepared(parts, wish, folder, signal)
  if (existsSync(join(folder, names.output, names.result))) {
    return await acceptModel(folder, order, signal)
  }
  const manifest = jobManifest({
    ...wish,
    name: jobName(basename(dirname(folder))),
    limits: order.limits,
  })
  await writeFile(join(folder, manifestName), stringify(manifest))
  return 'ordered'
}

const prepared = (
  parts: OrderParts,
  { memoryBytes, seconds }: JobWish,
  folder: string,
  signal?: AbortSignal,
): Promise<ExternalOrder> =>
  prepareOrder(
    {
      ...parts,
      limits: {
        ...parts.limits,
        ...(memoryBytes !== undefined && { memoryBytes }),
        ...(seconds !== undefined && { seconds }),
      },
    },
    folder,
    signal,
  )

/** A name that Kubernetes takes. */
function jobName(text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50)
    .replace(/-+$/, '')
  return `edgeloop-${plain || 'run'}`
}
