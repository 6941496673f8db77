/** A box whose content scrolls on its own: reachable and named for keyboards and screen readers. */
import type { ReactNode, Ref } from 'react'
import classes from './scroller.module.css'

export function Scroller(props: {
  label: string
  ref?: Ref<HTMLElement>
  /** Takes the height that is left. */
  filled?: boolean
  children: ReactNode
}) {
  return (
    <section
      className={classes.scroller}
      data-filled={props.filled}
      ref={props.ref}
      aria-label={props.label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: without it, what scrolls out of sight cannot be reached by keyboard
      tabIndex={0}
    >
      {props.children}
    </section>
  )
}
