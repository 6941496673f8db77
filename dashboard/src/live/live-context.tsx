/** Gives the page its one live link, open only while a tile is looking. */
import { routes } from '@edgeloop/protocol'
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react'
import { LiveLink } from './live-link.ts'

const LiveContext = createContext<LiveLink | undefined>(undefined)

export function LiveProvider(props: { children: ReactNode }) {
  const [link, setLink] = useState<LiveLink>()
  useEffect(() => {
    const url = new URL(routes.live.path, location.href)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    const opened = new LiveLink(url.href)
    const seen = () => opened.setVisible(document.visibilityState === 'visible')
    document.addEventListener('visibilitychange', seen)
    seen()
    setLink(opened)
    return () => {
      document.removeEventListener('visibilitychange', seen)
      opened[Symbol.dispose]()
    }
  }, [])
  return <LiveContext value={link}>{props.children}</LiveContext>
}

/** The page's live link; undefined until it has mounted. */
export const useLive = (): LiveLink | undefined => useContext(LiveContext)
