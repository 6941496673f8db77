/** Asks a hub for a certificate: with a token at enrolment, with the certificate in use at renewal. */
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import { Problem, type Route } from '@edgeloop/protocol'
import { fits, parse } from '@edgeloop/protocol/check'
import * as x509 from '@peculiar/x509'
import type { Static, TSchema } from 'typebox'
import { Agent, request } from 'undici'
import { fingerprintOf } from './pinned-authority.ts'

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const answerTimeoutMs = 20_000
/** Larger answers are no certificate. */
const answerBytesMax = 256 * 1024

/** P-256 key in PEM, and a request for a certificate signed by it. The hub chooses the subject. */
export async function makeKey(): Promise<{ key: string; csr: string }> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=edgeloop-device',
    keys,
    signingAlgorithm: p256,
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`, csr: csr.toString('pem') }
}

type Asked<S extends TSchema> = {
  /** What cannot be done if this fails, such as `Cannot enrol at https://hub:4181`. */
  readonly failing: string
  readonly url: URL
  readonly route: Route & { readonly response: S }
  readonly body: object
  /** The authority that is trusted, and the certificate that is shown where there is one. */
  readonly tls: { readonly ca: string; readonly key?: string; readonly cert?: string }
  readonly signal: AbortSignal
}

/** @throws {Error} beginning with `failing` and saying why, in the hub's own words where it has some */
export async function ask<S extends TSchema>(asked: Asked<S>): Promise<Static<S>> {
  const { failing, url, route, signal } = asked
  const dispatcher = new Agent({
    maxResponseSize: answerBytesMax,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    connect: { ...asked.tls, minVersion: 'TLSv1.3' },
  })
  try {
    const { statusCode, body: answer } = await request(new URL(route.path, url), {
      method: 'POST',
      dispatcher,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(asked.body),
      signal,
    })
    const text = await answer.text()
    if (statusCode === route.status) {
      return parse(route.response, JSON.parse(text), 'the answer of the hub')
    }
    throw new Error(reasonOf(text) ?? `HTTP ${statusCode}`)
  } catch (cause) {
    signal.throwIfAborted()
    throw new Error(`${failing}: ${(cause as Error).message}`, { cause })
  } finally {
    await dispatcher.destroy()
  }
}

/** The hub's own words, where it answers with a problem (RFC 9457). */
function reasonOf(text: string): string | undefined {
  try {
    const problem: unknown = JSON.parse(text)
    return fits(Problem, problem) ? problem.detail : undefined
  } catch {
    return undefined
  }
}

/**
 * A hub that answers with somebody else's certificate must not become our identity.
 * @param failing how the error begins, such as `Cannot enrol`
 */
export function checkCertificate(
  given: { certificate: string; ca: string; key: string; caFingerprint: string },
  failing: string,
): void {
  const [own, authority] = [new X509Certificate(given.certificate), new X509Certificate(given.ca)]
  if (fingerprintOf(authority) !== given.caFingerprint) {
    throw new Error(`${failing}: the hub gave another authority than the one it was met with`)
  }
  if (!own.checkPrivateKey(createPrivateKey(given.key))) {
    throw new Error(`${failing}: the hub gave a certificate for another key than the one made here`)
  }
  if (!own.verify(authority.publicKey)) {
    throw new Error(`${failing}: the certificate is not signed by the authority of the hub`)
  }
}
