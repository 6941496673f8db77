/** Whether a signed manifest is meant for this box, and for now. Pure. */
import { type Manifest, manifestPath, type Offer, type UpdateCode } from '@edgeloop/protocol'

export type Box = {
  /** Kinds of boxes it is, the most particular first. */
  readonly targets: readonly string[]
  readonly agentVersion: string
}

/** What a model is for that was published as it was added: every box is of this kind. */
export const anyTarget = 'any'

export type Refusal = { readonly code: UpdateCode; readonly reason: string }

/** Why an offer's manifest cannot be for this box, whatever is in it. */
export function pathRefusal(
  {
    name,
    version,
    manifest,
  }: Pick<Offer, 'name' | 'version'> & { readonly manifest: Pick<Offer['manifest'], 'path'> },
  { targets }: Box,
): Refusal | undefined {
  const kinds = [...targets, anyTarget]
  if (kinds.some((target) => manifestPath(name, version, target) === manifest.path)) return
  return {
    code: 'wrong-target',
    reason: `"${manifest.path}" is for another kind of box than ${targets.join(', ')}`,
  }
}

/**
 * @param fleet that the trusted root is for
 * @param now ms
 */
export function manifestRefusal(
  manifest: Manifest,
  offer: Pick<Offer, 'name' | 'version'>,
  box: Box,
  fleet: string,
  now: number,
): Refusal | undefined {
  const { name, version, expiresAt, agentMin } = manifest
  if (name !== offer.name || version !== offer.version) {
    const reason = `It is signed for "${name}" version ${version}, and offered as "${offer.name}" version ${offer.version}`
    return { code: 'integrity', reason }
  }
  if (manifest.fleet !== fleet) {
    const reason = `It is for fleet "${manifest.fleet}", and this box is of "${fleet}"`
    return { code: 'wrong-target', reason }
  }
  if (!manifest.targets.some((target) => target === anyTarget || box.targets.includes(target))) {
    const reason = `It is for ${manifest.targets.join(', ')}, and this box is ${box.targets.join(', ')}`
    return { code: 'wrong-target', reason }
  }
  if (isOlder(box.agentVersion, agentMin)) {
    const reason = `It needs agent ${agentMin}, and this is ${box.agentVersion}`
    return { code: 'agent-too-old', reason }
  }
  if (now >= Date.parse(expiresAt)) {
    return { code: 'trust', reason: `It was to be taken up before ${expiresAt}` }
  }
  return undefined
}

/** Whether version `one` comes before `other`; what follows the three numbers does not count. */
export function isOlder(one: string, other: string): boolean {
  const numbers = (version: string) => version.split(/[.+-]/).slice(0, 3).map(Number)
  const [ours, theirs] = [numbers(one), numbers(other)]
  for (const [place, wanted] of theirs.entries()) {
    const has = ours[place] ?? 0
    if (has !== wanted) return has < wanted
  }
  return false
}
