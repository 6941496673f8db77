/** How searches are said. Pure. */
import type { Search, SearchState, SearchTrial } from '@edgeloop/protocol'
import { sayCount, sayShare } from '../shell/say.ts'
import type { StatusKind } from '../shell/status.tsx'
import { sayFigure } from './run-words.ts'

const words: Readonly<Record<SearchState, { kind: StatusKind; word: string }>> = {
  running: { kind: 'updating', word: 'Searches' },
  keeping: { kind: 'updating', word: 'Keeps the best' },
  ended: { kind: 'ok', word: 'Ended' },
  failed: { kind: 'bad', word: 'Failed' },
  cancelled: { kind: 'offline', word: 'Cancelled' },
}

export const saySearchState = ({ state }: Pick<Search, 'state'>) => words[state]

/** `4 of 27 trials`. */
export const sayTrials = ({ ended, trials }: Pick<Search, 'ended' | 'trials'>): string =>
  `${sayCount(ended)} of ${sayCount(trials)} trials`

/** `0.91`, or why there is none. */
export const sayOutcome = ({ over, value, failure }: SearchTrial): string =>
  value !== null ? sayFigure(value) : !over ? 'is not over' : failure || 'no number'

/** Of the recipe's epochs. */
export const sayEpochs = ({ share }: Pick<SearchTrial, 'share'>): string => sayShare(share)
