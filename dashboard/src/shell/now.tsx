/** The present moment for what says how long ago something was: one timer for the whole page. */
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react'
import { sayAgo, sayMoment } from './say.ts'

const NowContext = createContext(0)

/** Ticks once a second while somebody can see the page. */
export function NowProvider(props: { children: ReactNode }) {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setNow(Date.now())
    }, 1000)
    return () => clearInterval(timer)
  }, [])
  return <NowContext value={now}>{props.children}</NowContext>
}

/** Milliseconds since the epoch, renewed once a second. */
export const useNow = (): number => useContext(NowContext)

/** `2 min ago`, with the exact moment on hover. */
export function Ago(props: { at: string | number }) {
  const now = useNow()
  const at = typeof props.at === 'number' ? props.at : Date.parse(props.at)
  return (
    <time dateTime={new Date(at).toISOString()} title={sayMoment(at)}>
      {sayAgo(at, now)}
    </time>
  )
}
