/** The frame of a page: one heading, what belongs beside it, and the title of the tab. */
import { type ReactNode, useEffect } from 'react'
import classes from './page.module.css'

/** Names the browser tab for as long as it is mounted. */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Edgeloop`
  }, [title])
}

export function Page(props: {
  title: string
  /** In place of the plain title, where it needs more than words. */
  heading?: ReactNode
  /** Above the heading: where this page belongs. */
  parent?: ReactNode
  aside?: ReactNode
  /** Takes the window's whole height; something inside scrolls. */
  filled?: boolean
  children: ReactNode
}) {
  usePageTitle(props.title)
  return (
    <div className={classes.page} data-filled={props.filled}>
      <header className={classes.head}>
        <div className={classes.title}>
          {props.parent && <div className={classes.parent}>{props.parent}</div>}
          <h1>{props.heading ?? <bdi>{props.title}</bdi>}</h1>
        </div>
        {props.aside && <div className={classes.aside}>{props.aside}</div>}
      </header>
      {props.children}
    </div>
  )
}
