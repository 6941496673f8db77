/**
 * Passwords of cameras on their way through people's hands: they are shown masked, and what comes back masked
 * keeps the password that is stored.
 */
import {
  type DeviceConfig,
  hideSecret,
  isSecretHidden,
  mapStrings,
  Refusal,
} from '@edgeloop/protocol'

/**
 * Puts back the passwords that were masked: those of the same stream, or, for a stream that was renamed, those
 * of the only address of the device that looks like it.
 * @throws {Refusal} badRequest for a masked password that nothing stored fits
 */
export function keepSecrets(config: DeviceConfig, stored: DeviceConfig | undefined): DeviceConfig {
  const byStream = new Map((stored?.streams ?? []).map((stream) => [stream.streamId, stream]))
  const everywhere = secretsOf(stored?.streams ?? [])
  const streams = config.streams.map((stream) => {
    const own = secretsOf([byStream.get(stream.streamId)])
    return mapStrings(stream, (text, path) => {
      if (!isSecretHidden(text)) return text
      const known = own.get(text) ?? everywhere.get(text)
      if (known?.size === 1) return [...known][0] ?? text
      const where = `${path.slice(1)} of stream "${stream.streamId}"`
      const why = known
        ? 'several passwords of this device fit'
        : 'its password is masked, and none that is stored fits'
      throw new Refusal('badRequest', `Cannot take the ${where}: ${why}. Write the password`)
    })
  })
  return { ...config, streams }
}

/** Every address with a password in a configuration, by how it is shown. */
function secretsOf(value: unknown): Map<string, Set<string>> {
  const secrets = new Map<string, Set<string>>()
  mapStrings(value, (text) => {
    const hidden = hideSecret(text)
    if (hidden !== text) secrets.set(hidden, (secrets.get(hidden) ?? new Set()).add(text))
    return text
  })
  return secrets
}
