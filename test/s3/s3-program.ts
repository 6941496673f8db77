/** s3rver in a process of its own: an S3 server that is not ours and checks signatures. `startS3` starts it. */
import { createRequire } from 'node:module'

export type S3Order = { readonly directory: string; readonly port: number; readonly bucket: string }

type S3rver = new (
  options: object,
) => { run(): Promise<{ port: number }>; configureBuckets(): Promise<void> }

if (import.meta.main) {
  const S3rver: S3rver = createRequire(import.meta.url)('@20minutes/s3rver')
  const { directory, port, bucket }: S3Order = JSON.parse(process.argv[2] ?? '{}')
  const server = new S3rver({
    directory,
    port,
    address: '127.0.0.1',
    silent: true,
    vhostBuckets: false,
    configureBuckets: [{ name: bucket, configs: [] }],
  })
  const address = await server.run()
  process.send?.(address.port)
  process.once('disconnect', () => process.exit(0))
}
