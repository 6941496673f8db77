/** A mail server on this machine that takes mails and keeps them as they came. */
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { SMTPServer } from 'smtp-server'

/** @returns its port, and the mails that it was given */
export async function receiveMail(
  t: TestContext,
  login: { user: string; password: string },
): Promise<{ readonly port: number; readonly mails: readonly string[] }> {
  const mails: string[] = []
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, done) => {
      if (username === login.user && password === login.password) done(null, { user: username })
      else done(new Error('Invalid login'))
    },
    onData: (stream, _session, done) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.once('end', () => {
        mails.push(Buffer.concat(chunks).toString('utf8'))
        done()
      })
    },
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve())
  })
  t.after(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  return { port: (server.server.address() as AddressInfo).port, mails }
}
