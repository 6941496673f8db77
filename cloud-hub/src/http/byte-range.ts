/** Which bytes a `Range` header asks for (RFC 9110, 14.2). Pure. */

export type ByteRange = { readonly from: number; readonly through: number }

/**
 * @returns the one range that is asked for; `whole` where none is, or what is asked for is not understood,
 *   which the RFC leaves to us; `unsatisfiable` where no byte of it is there
 */
export function byteRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | 'whole' | 'unsatisfiable' {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? []
  if (first === '' && last === '') return 'whole'
  if (first === '') {
    const count = Math.min(Number(last), sizeBytes)
    return count === 0 ? 'unsatisfiable' : { from: sizeBytes - count, through: sizeBytes - 1 }
  }
  const from = Number(first)
  if (last !== '' && Number(last) < from) return 'whole'
  if (from >= sizeBytes) return 'unsatisfiable'
  return { from, through: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) }
}
