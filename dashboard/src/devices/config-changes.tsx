/** In what two configurations differ, one line per difference. */
import type { ConfigChange } from '@edgeloop/protocol'
import classes from './config-changes.module.css'

/** What people read of a change. */
const kinds = {
  added: { sign: '+', word: 'Added' },
  removed: { sign: '−', word: 'Removed' },
  changed: { sign: '~', word: 'Changed' },
} as const

export function ConfigChanges(props: { changes: readonly ConfigChange[]; label: string }) {
  if (props.changes.length === 0) return <p className="dim">There is no difference.</p>
  return (
    <ul className={classes.changes} aria-label={props.label}>
      {props.changes.map((change) => {
        const kind = kindOf(change)
        const { sign, word } = kinds[kind]
        return (
          <li key={change.path} data-kind={kind}>
            <span className={classes.sign} aria-hidden>
              {sign}
            </span>
            <span className="hidden-visually">{word} </span>
            <code className={classes.path}>{change.path}</code>
            <span className={classes.values}>
              {change.secret ? (
                'the password differs'
              ) : (
                <>
                  {change.before !== undefined && <del>{JSON.stringify(change.before)}</del>}
                  {change.before !== undefined && change.after !== undefined && ' → '}
                  {change.after !== undefined && <ins>{JSON.stringify(change.after)}</ins>}
                </>
              )}
            </span>
          </li>
        )
      })}
    </ul>
  )
}

function kindOf({ before, after, secret }: ConfigChange): keyof typeof kinds {
  if (secret || (before !== undefined && after !== undefined)) return 'changed'
  return before === undefined ? 'added' : 'removed'
}
