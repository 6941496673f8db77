/** Where the boxes of a rollout or a stage are: one bar, and the same in words. */
import type { BoxCounts } from '@edgeloop/protocol'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { countParts, sayDone } from './rollout-words.ts'
import classes from './rollouts.module.css'

export function CountBar({ counts, label }: { counts: BoxCounts; label: string }) {
  return (
    <div
      className={classes.bar}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={counts.devices}
      aria-valuenow={counts.confirmed}
      aria-valuetext={sayDone(counts)}
    >
      {countParts.map(
        ({ key, word, kind }) =>
          counts[key] > 0 && (
            <span
              key={key}
              data-part={key}
              data-kind={kind}
              style={{ flexGrow: counts[key] }}
              title={`${sayCount(counts[key])} ${word}`}
            />
          ),
      )}
    </div>
  )
}

/** The parts of the bar that anything is in. */
export function CountWords({ counts }: { counts: BoxCounts }) {
  return (
    <ul className={classes.counts}>
      {countParts
        .filter(({ key }) => counts[key] > 0)
        .map(({ key, word, kind }) => (
          <li key={key}>
            <Status kind={kind} word={`${sayCount(counts[key])} ${word}`} />
          </li>
        ))}
      {counts.goingBack > 0 && (
        <li>
          <Status kind="updating" word={`${sayCount(counts.goingBack)} going back`} />
        </li>
      )}
    </ul>
  )
}
