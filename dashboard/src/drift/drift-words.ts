/** Drift in words. */
import type { DriftAlarm, DriftFigureName, DriftKind, DriftStream } from '@edgeloop/protocol'
import { sayCount } from '../shell/say.ts'
import type { StatusKind } from '../shell/status.tsx'

type Said = { readonly kind: StatusKind; readonly word: string }

export const kindWords: Record<DriftKind, string> = {
  'camera-covered': 'Camera covered',
  'camera-moved': 'Camera moved',
  'camera-blurred': 'Camera out of focus',
  night: 'Night',
  data: 'Pictures changed',
  output: 'Answers changed',
}

export const endWords: Record<NonNullable<DriftAlarm['endedBy']>, string> = {
  itself: 'over',
  accepted: 'accepted as normal',
  explained: 'explained by another',
  relearnt: 'another model',
  removed: 'stream gone',
}

/** What is charted, in this order; the rest is in the table. */
export const charts: readonly { readonly name: DriftFigureName; readonly title: string }[] = [
  { name: 'confidence', title: 'Mean score' },
  { name: 'objects', title: 'Objects in a frame' },
  { name: 'brightness', title: 'Brightness, of 255' },
  { name: 'sharpness', title: 'Sharpness of edges' },
  { name: 'contrast', title: 'Contrast, grey levels' },
  { name: 'saturation', title: 'Saturation, of 255' },
  { name: 'size', title: 'Size of objects, share of the picture' },
  { name: 'scores', title: 'Scores, PSI' },
  { name: 'labels', title: 'Labels, PSI' },
  { name: 'places', title: 'Places, PSI' },
  { name: 'likeness', title: 'Likeness of the background' },
  { name: 'covered', title: 'Share that is covered' },
]

/** Alarms that somebody should see: the night is none. */
export const toldAlarms = ({ alarms }: Pick<DriftStream, 'alarms'>): readonly DriftAlarm[] =>
  alarms.filter(({ kind }) => kind !== 'night')

export function sayStream(stream: DriftStream): Said {
  const { phase, learnt, learnsFrom, isNight } = stream
  const [alarm] = toldAlarms(stream)
  if (phase === 'silent') return { kind: 'offline', word: 'No sketches' }
  if (alarm)
    return { kind: alarm.kind.startsWith('camera') ? 'bad' : 'warn', word: kindWords[alarm.kind] }
  if (phase === 'learning') {
    return { kind: 'updating', word: `Learning, ${sayCount(learnt)} of ${sayCount(learnsFrom)}` }
  }
  return { kind: 'ok', word: isNight ? 'As usual, by night' : 'As usual' }
}
