/**
 * Takes out of a text what nobody but the box may know. Whoever writes a line leaves secrets out already;
 * this is the second wall, for what an error message of somebody else repeats.
 */

/** Shorter ones are only hidden inside addresses: they stand in too many words by chance. */
const secretCharactersMin = 4
const hidden = '…'

/** `scheme://user:password@`, up to the last `@` of the word: an unescaped password may hold one. */
const userInfo = /([a-z][a-z0-9+.-]*:\/\/)([^\s:/@"'<>]*):[^\s"'<>]*@/gi
/** `password=x` and its like in a query or a list of facts. */
const named = /\b(pass(?:word|wd)?|pwd|token|secret|api_?key)(["']?\s*[=:]\s*["']?)([^\s&"',;]+)/gi
const bearer = /\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/=_.~-]{8,}/g

/** @param secrets what must not be in it, wherever it stands */
export function withoutSecrets(text: string, secrets: Iterable<string>): string {
  let safe = text
    .replace(userInfo, `$1$2:${hidden}@`)
    .replace(bearer, `$1 ${hidden}`)
    .replace(named, `$1$2${hidden}`)
  for (const secret of secrets) safe = safe.replaceAll(secret, hidden)
  return safe
}

/** Passwords in the addresses that a value holds anywhere, as written and decoded; longest first. */
export function secretsIn(value: unknown): string[] {
  const found = new Set<string>()
  collect(value, found)
  return [...found].sort((a, b) => b.length - a.length)
}

function collect(value: unknown, found: Set<string>): void {
  if (typeof value === 'string') {
    const password = URL.canParse(value) ? new URL(value).password : ''
    for (const secret of [password, decoded(password)]) {
      if (secret.length >= secretCharactersMin) found.add(secret)
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) collect(part, found)
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
