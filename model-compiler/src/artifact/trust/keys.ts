/** Keys that sign metadata: Ed25519, as files in PEM (PKCS#8) that `openssl pkey` reads too. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { canonicalize } from '@tufjs/canonical-json'
import { Key } from '@tufjs/models'

/** The public half, as it stands in a root. */
export type PublicKey = {
  readonly keytype: string
  readonly scheme: string
  readonly keyval: { readonly public: string }
}

/** The private half, in memory. It has no text form but `pemOf()`. */
export type SigningKey = {
  /** SHA-256 of the public key in canonical JSON (TUF §4.2), hex. */
  readonly keyId: string
  readonly publicKey: PublicKey
  sign(bytes: Uint8Array): Uint8Array
}

/** A new key and the text to keep it under: whoever reads that can sign. */
export function makeKey(): { readonly key: SigningKey; readonly pem: string } {
  const { privateKey } = generateKeyPairSync('ed25519')
  return {
    key: signingKey(privateKey),
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/**
 * @param name where the text is from, for what is said when it is refused
 * @throws {Error} when it is no Ed25519 key; the text is not quoted
 */
export function readKey(pem: string, name: string): SigningKey {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw new Error(`Cannot read the key in "${name}": it is no private key in PEM`, { cause })
  }
  if (key.asymmetricKeyType === 'ed25519') return signingKey(key)
  throw new Error(`Cannot read the key in "${name}": it is ${key.asymmetricKeyType}, not ed25519`)
}

function signingKey(privateKey: KeyObject): SigningKey {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const publicKey: PublicKey = {
    keytype: 'ed25519',
    scheme: 'ed25519',
    keyval: { public: Buffer.from(x, 'base64url').toString('hex') },
  }
  // `privateKey` stays in the closure: what prints or serialises a SigningKey does not meet it.
  return {
    keyId: keyIdOf(publicKey),
    publicKey,
    sign: (bytes) => sign(null, bytes, privateKey),
  }
}

/** SHA-256 of the key in canonical JSON, hex. */
export const keyIdOf = (key: PublicKey): string =>
  createHash('sha256').update(canonicalize(key)).digest('hex')

/** @throws {TypeError} when it does not look like a key */
export const readPublicKey = (keyId: string, key: PublicKey): Key =>
  Key.fromJSON(keyId, structuredClone(key) as never)
