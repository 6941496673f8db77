/** The classes of the dataset: by digit, by click, or found by name. */
import { Button, TextInput } from '@mantine/core'
import { type Ref, useImperativeHandle, useRef, useState } from 'react'
import { classColour } from '../live/class-colour.ts'
import classes from './label-page.module.css'

export type ClassListHandle = { readonly find: () => void }

/** Classes that are listed at once; the others are found by name. */
const listedMax = 30
const digits = '1234567890'

export function ClassList(props: {
  ref?: Ref<ClassListHandle>
  labels: readonly string[]
  current: string
  /** A choice is about the selected box, not the next one. */
  forSelected: boolean
  onChoose: (label: string) => void
  /** Says the current class of the whole picture. */
  onWhole: () => void
  onLeave: () => void
}) {
  const { labels, current } = props
  const [text, setText] = useState('')
  const field = useRef<HTMLInputElement>(null)
  useImperativeHandle(props.ref, () => ({ find: () => field.current?.focus() }))
  const words = text.trim().toLowerCase()
  const found = labels.filter((label) => label.toLowerCase().includes(words))
  // What begins so comes before what only has it somewhere.
  const order =
    words === '' ? found : found.toSorted((a, b) => startOf(a, words) - startOf(b, words))
  const choose = (label: string) => {
    setText('')
    props.onChoose(label)
  }
  return (
    <section className={classes.classes} aria-label="Classes">
      <h2>{props.forSelected ? 'Class of the selected box' : 'Class of the next box'}</h2>
      <TextInput
        ref={field}
        size="xs"
        aria-label="Find a class"
        placeholder="Find a class (/)"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          const [first] = order
          if (event.key === 'Enter' && first !== undefined) choose(first)
          if (event.key !== 'Escape' && event.key !== 'Enter') return
          event.preventDefault()
          setText('')
          props.onLeave()
        }}
      />
      {labels.length === 0 && (
        <p className="dim">The dataset has no labels yet: add some on its page, then label.</p>
      )}
      <ul>
        {order.slice(0, listedMax).map((label) => {
          const digit = digits[labels.indexOf(label)]
          return (
            <li key={label}>
              <button type="button" aria-pressed={label === current} onClick={() => choose(label)}>
                <span
                  className={classes.swatch}
                  style={{ background: classColour(label) }}
                  aria-hidden
                />
                <span className="clip">{label}</span>
                {digit !== undefined && <kbd>{digit}</kbd>}
              </button>
            </li>
          )
        })}
      </ul>
      {order.length > listedMax && (
        <p className="dim">and {order.length - listedMax} more, by name</p>
      )}
      {labels.length > 0 && order.length === 0 && (
        <p className="dim">No class has this in its name</p>
      )}
      {labels.length > 0 && (
        <Button size="compact-xs" variant="default" onClick={props.onWhole}>
          Say it of the whole picture
        </Button>
      )}
    </section>
  )
}

const startOf = (label: string, words: string): number => label.toLowerCase().indexOf(words)
