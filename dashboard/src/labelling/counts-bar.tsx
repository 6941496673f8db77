/** The tasks of a queue by state, as shares of one bar; the words are in its title and for screen readers. */
import type { LabelQueueRow } from '@edgeloop/protocol'
import { sayCount } from '../shell/say.ts'
import classes from './queues.module.css'

const parts = [
  { state: 'done', word: 'done' },
  { state: 'review', word: 'in review' },
  { state: 'flagged', word: 'flagged' },
  { state: 'bad', word: 'bad' },
  { state: 'open', word: 'waiting' },
] as const

export function CountsBar({ counts }: { counts: LabelQueueRow['counts'] }) {
  const said = parts
    .filter(({ state }) => counts[state] > 0)
    .map(({ state, word }) => `${sayCount(counts[state])} ${word}`)
    .join(', ')
  return (
    <div
      className={classes.bar}
      role="img"
      aria-label={said || 'no tasks'}
      title={said || 'no tasks'}
    >
      {parts.map(({ state }) => (
        <span
          key={state}
          data-state={state}
          style={{ flexGrow: counts[state] }}
          hidden={counts[state] === 0}
        />
      ))}
    </div>
  )
}
