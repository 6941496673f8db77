/** One difference between two configurations, as the terminal shows it. */
import type { ConfigChange } from '@edgeloop/protocol'
import { plain } from './output.ts'

/** `~ /streams/gate/analysisFps: 5 → 2`. */
export function lineOf({ path, before, after, secret }: ConfigChange): string {
  if (secret) return plain(`~ ${path}: the password differs`)
  const [from, to] = [before, after].map((value) => JSON.stringify(value))
  if (before === undefined) return plain(`+ ${path}: ${to}`)
  if (after === undefined) return plain(`- ${path}: ${from}`)
  return plain(`~ ${path}: ${from} → ${to}`)
}
