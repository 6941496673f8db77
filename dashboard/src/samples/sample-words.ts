/** Samples of boxes in words. */
import type { FieldSample, SampleReason } from '@edgeloop/protocol'
import { sayOf } from '../shell/say.ts'

export const reasonWords: Record<SampleReason, string> = {
  uncertain: 'Uncertain',
  inconsistent: 'Inconsistent track',
  motion: 'Motion, nothing found',
  disagreement: 'Models differ',
  rare: 'Rare',
  novel: 'Unlike others',
  asked: 'Asked for',
  random: 'By chance',
}

/** What the box found, in a few words: `2 cup, plate`. */
export function sayFound({ detections }: Pick<FieldSample, 'detections'>): string {
  if (detections.length === 0) return 'Nothing found'
  const counts = new Map<string, number>()
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1)
  return [...counts].map(([label, count]) => (count === 1 ? label : `${count} ${label}`)).join(', ')
}

/** What was made unreadable, in a few words. */
export function sayHidden({ redaction }: Pick<FieldSample, 'redaction'>): string {
  const { masks, method, regions } = redaction
  const said = [
    ...(masks > 0 ? [`${sayOf(masks, 'mask')} blanked`] : []),
    ...(method === 'none'
      ? []
      : [`${sayOf(regions.length, 'region')} ${method === 'fill' ? 'filled' : 'pixelated'}`]),
  ]
  return said.join(', ') || 'Nothing was to be hidden'
}
