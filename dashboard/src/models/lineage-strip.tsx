/** From what to what: dataset and parent, run, model version; each leads to its page. */
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import classes from './lineage-strip.module.css'

export function LineageStrip(props: {
  dataset: { readonly name: string; readonly version: number; readonly digest: string }
  /** `NAME/VERSION`, or `new:BUILDER` for a net that was built. */
  parent: string
  run: ReactNode
  /** The model version, with what is to be said of it. */
  result: ReactNode
  /** Stands behind all of it. */
  children?: ReactNode
}) {
  const { dataset, parent } = props
  const [name = '', version = ''] = parent.split('/')
  return (
    <ol className={classes.lineage} aria-label="Lineage">
      <li>
        <Link
          to="/datasets/$dataset"
          params={{ dataset: dataset.name }}
          search={{ version: dataset.version }}
          title={`SHA-256 ${dataset.digest}`}
        >
          {dataset.name} v{dataset.version}{' '}
          <span className="mono dim">{dataset.digest.slice(0, 8)}</span>
        </Link>
        {parent.startsWith('new:') ? (
          <span>{parent}</span>
        ) : (
          <Link to="/models/$name/$version" params={{ name, version }}>
            {parent}
          </Link>
        )}
      </li>
      <li>{props.run}</li>
      <li>{props.result}</li>
      {props.children}
    </ol>
  )
}
