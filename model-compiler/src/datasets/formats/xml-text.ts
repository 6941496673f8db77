/** Text as XML writes it. Pure. */

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}
const names: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(escapes).map(([character, name]) => [name, character]),
)

export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => escapes[character]!)

/** What of a document type could be said in a file is not known here: nothing unfolds. */
export const unescaped = (text: string): string =>
  text.replace(/&(?:lt|gt|quot|apos|amp|#\d{1,7}|#x[0-9a-fA-F]{1,6});/g, (entity) => {
    if (!entity.startsWith('&#')) return names[entity]!
    const code = Number(entity.startsWith('&#x') ? `0${entity.slice(2, -1)}` : entity.slice(2, -1))
    return code <= 0x10ffff ? String.fromCodePoint(code) : entity
  })
