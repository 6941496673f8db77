/** What is said of a frame, for whoever has no keyboard at hand: as large as a thumb on a phone. */
import { Button } from '@mantine/core'
import type { Verdict } from './desk.ts'
import type { LabelAct } from './label-keys.ts'
import classes from './label-page.module.css'

const acts = [
  { act: 'accept', word: 'Accept', key: 'Space' },
  { act: 'none', word: 'Nothing', key: 'N' },
  { act: 'skip', word: 'Skip', key: 'S' },
  { act: 'bad', word: 'Bad', key: 'B' },
  { act: 'flag', word: 'Flag', key: 'T' },
] as const

const saidWords: Readonly<Record<Verdict, string>> = {
  annotated: 'Accepted. Change it and accept again to answer anew.',
  skip: 'Skipped: somebody else answers it.',
  bad: 'Kept out of the dataset.',
  flag: 'Flagged, for a word about it.',
}

export function LabelActs(props: {
  onAct: (act: LabelAct) => void
  disabled: boolean
  review: boolean
  threshold: number
  /** What was said of the frame already. */
  answered: Verdict | undefined
}) {
  return (
    <div className={classes.acts}>
      {acts.map(({ act, word, key }) => (
        <Button
          key={act}
          size="xs"
          variant={act === 'accept' ? 'filled' : 'default'}
          disabled={props.disabled}
          title={key}
          onClick={() => props.onAct(act)}
        >
          {word}
        </Button>
      ))}
      <span className={classes.threshold}>
        <button
          type="button"
          aria-label="Show less sure suggestions"
          onClick={() => props.onAct('lower')}
        >
          −
        </button>
        <span title="Suggestions that are surer than this are shown, and taken when you accept ([ and ])">
          from {Math.round(props.threshold * 100)} %
        </span>
        <button
          type="button"
          aria-label="Show only surer suggestions"
          onClick={() => props.onAct('higher')}
        >
          +
        </button>
      </span>
      {props.answered && <span className="dim">{saidWords[props.answered]}</span>}
    </div>
  )
}
