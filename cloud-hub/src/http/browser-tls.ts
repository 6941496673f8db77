/**
 * With what people's listener proves who it is. On the machine itself nothing is needed; for every other address
 * it is the given certificate, else one of the hub's own authority, which browsers ask about once.
 */
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { type HubConfig, isLoopback } from '../configuration.ts'

export type BrowserTls = {
  readonly key: string
  readonly cert: string
  /** True for a certificate that was given: browsers may be told to insist on TLS. */
  readonly strictTransport: boolean
}

/**
 * @returns undefined where plain HTTP is enough
 * @throws {Error} when a file cannot be read, or key and certificate do not belong together
 */
export async function readBrowserTls(
  { browser }: Pick<HubConfig, 'browser'>,
  own: { readonly key: string; readonly cert: string },
): Promise<BrowserTls | undefined> {
  const { tlsCert, tlsKey } = browser
  if (tlsCert === '') {
    return isLoopback(browser.host) ? undefined : { ...own, strictTransport: false }
  }
  const read = (flag: string, file: string) =>
    readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'ENOENT' ? 'there is no such file' : cause.message
      throw new Error(`Cannot use ${flag} "${file}": ${why}`, { cause })
    })
  const tls = {
    cert: await read('--tls-cert', tlsCert),
    key: await read('--tls-key', tlsKey),
    strictTransport: true,
  }
  try {
    createSecureContext(tls)
  } catch (cause) {
    throw new Error(
      `Cannot use --tls-cert "${tlsCert}" with --tls-key "${tlsKey}": ${(cause as Error).message}. ` +
        'Both are PEM, the certificate with its chain',
      { cause },
    )
  }
  return tls
}
