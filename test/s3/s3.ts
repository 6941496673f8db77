/** An S3 server for tests, which can be killed and started again on the same port and data. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { S3Order } from './s3-program.ts'

export type S3 = {
  /** `s3://bucket/blobs?endpoint=…` */
  readonly url: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Changes a byte of what is stored under a digest. */
  damage(digest: string): Promise<void>
  kill(): Promise<void>
  start(): Promise<void>
}

export async function startS3(t: Pick<TestContext, 'after'>): Promise<S3> {
  const directory = await mkdtemp(join(tmpdir(), 'edgeloop-s3-'))
  let child: ChildProcess
  let port = 0
  async function start(): Promise<void> {
    const order: S3Order = { directory, port, bucket: 'pictures' }
    child = fork(new URL('./s3-program.ts', import.meta.url), [JSON.stringify(order)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message) => resolve(message as number))
      child.once('exit', (code) => reject(new Error(`the S3 server exited with ${code}`)))
    })
  }
  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  await start()
  t.after(async () => {
    await kill()
    await rm(directory, { recursive: true, force: true })
  })
  return {
    get url() {
      return `s3://pictures/blobs?endpoint=http://127.0.0.1:${port}`
    },
    // The one account that s3rver has.
    credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    damage: async (digest) => {
      const files = await readdir(directory, { recursive: true })
      const file = files.find((name) => name.includes(digest) && name.endsWith('_object'))
      await using handle = await open(join(directory, file ?? digest), 'r+')
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, 0)
      await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 0)
    },
    kill,
    start,
  }
}
