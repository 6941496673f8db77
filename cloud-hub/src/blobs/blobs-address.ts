/** Where blobs are, as people write it: nothing for the folder beside the store, `s3://BUCKET/PREFIX?…` for S3. */
import { nearestName } from '@edgeloop/protocol'

export type S3Address = {
  readonly bucket: string
  /** Stands before every name; empty, or ends with a slash. */
  readonly prefix: string
  readonly region: string
  /** Where the bucket is reached, without a slash at the end. */
  readonly url: string
  /** The address without anything secret. */
  readonly shown: string
}

const parameters = ['endpoint', 'region']

/**
 * Reads `s3://BUCKET/PREFIX?endpoint=https://…&region=…`. With an endpoint the bucket is a part of the path, as servers
 * beside Amazon's have it; without one it is a part of the host.
 * @throws {Error} for another scheme, an unknown parameter, a key in the address, or an endpoint without TLS that is not here
 */
export function parseS3Address(text: string): S3Address {
  const url = URL.parse(text)
  if (url?.protocol !== 's3:' || url.hostname === '') {
    throw new Error(
      `Cannot keep blobs at "${withoutSecrets(text)}": write s3://BUCKET/PREFIX?endpoint=https://HOST, or nothing for the data folder`,
    )
  }
  const shown = withoutSecrets(text)
  if (url.username !== '' || url.password !== '') {
    throw new Error(
      `Cannot take a key in the address "${shown}": give it as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
    )
  }
  for (const name of url.searchParams.keys()) {
    if (parameters.includes(name)) continue
    const near = nearestName(name, parameters)
    const hint =
      near === undefined ? `known are ${parameters.join(', ')}` : `did you mean "${near}"?`
    throw new Error(`Cannot use "${name}" in the address "${shown}": ${hint}`)
  }
  const bucket = url.hostname
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new Error(`Cannot use "${bucket}" as a bucket: 3 to 63 of a-z, 0-9, "-" and "."`)
  }
  const path = url.pathname.split('/').filter((level) => level !== '')
  if (!path.every((level) => /^[A-Za-z0-9._-]+$/.test(level) && !/^\.+$/.test(level))) {
    throw new Error(
      `Cannot use the prefix of "${shown}": letters, digits, ".", "_" and "-" between slashes`,
    )
  }
  const prefix = path.map((level) => `${level}/`).join('')
  const region = url.searchParams.get('region') ?? 'us-east-1'
  const endpoint = url.searchParams.get('endpoint')
  const base =
    endpoint === null ? `https://${bucket}.s3.${region}.amazonaws.com` : rootOf(endpoint, bucket)
  return { bucket, prefix, region, url: base, shown }
}

function rootOf(endpoint: string, bucket: string): string {
  const url = URL.parse(endpoint)
  const here = url?.hostname === 'localhost' || url?.hostname.startsWith('127.')
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && here)) {
    throw new Error(
      `Cannot use the endpoint "${withoutSecrets(endpoint)}": https://HOST[:PORT] (http:// on this machine only)`,
    )
  }
  return `${url.origin}/${bucket}`
}

const withoutSecrets = (text: string): string => text.replace(/\/\/[^/?#]*@/g, '//…@')
