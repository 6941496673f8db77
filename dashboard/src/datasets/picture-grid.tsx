/**
 * Pictures as cards, as many beside each other as there is room for. Thousands scroll with the page: only those
 * on screen are drawn, and more are fetched before the end is reached.
 */
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import {
  Fragment,
  type ReactNode,
  useEffect,
  useEffectEvent,
  useLayoutEffect,
  useRef,
  useState,
} from 'react'
import classes from './picture-grid.module.css'

/** Of a card, px. */
const widthMin = 168
const gap = 8
/** A line of words below the picture, and what is around them. */
const lineHeight = 18
const around = 12

/** Where the page was scrolled to, kept by whoever shows the grid again. */
export type GridPlace = { current: number }

/** @param lines of words below each picture */
export function PictureGrid<T>(props: {
  label: string
  items: readonly T[]
  keyOf: (item: T) => string | number
  lines: number
  place: GridPlace
  onEnd: () => void
  children: (item: T) => ReactNode
}) {
  const { items, place } = props
  const area = useRef<HTMLElement>(null)
  const [room, setRoom] = useState({ width: 0, top: 0 })
  useLayoutEffect(() => {
    const element = area.current
    if (!element) return
    const measure = () =>
      setRoom({
        width: element.clientWidth,
        top: Math.round(element.getBoundingClientRect().top + window.scrollY),
      })
    measure()
    const watch = new ResizeObserver(measure)
    watch.observe(element)
    return () => watch.disconnect()
  }, [])
  // A phone has room for two.
  const columns = Math.max(2, Math.floor((room.width + gap) / (widthMin + gap)))
  const faceHeight = (((room.width + gap) / columns - gap - 2) * 9) / 16
  const height = Math.ceil(Math.max(0, faceHeight)) + props.lines * lineHeight + around
  const rows = Math.ceil(items.length / columns)
  const virtual = useWindowVirtualizer({
    count: rows,
    estimateSize: () => height,
    gap,
    overscan: 3,
    scrollMargin: room.top,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows are as high as the cards are wide
  useLayoutEffect(() => virtual.measure(), [height])
  useLayoutEffect(() => {
    if (place.current > 0) window.scrollTo(0, place.current)
    return () => {
      place.current = window.scrollY
    }
  }, [place])
  const drawn = virtual.getVirtualItems()
  const last = drawn.at(-1)?.index ?? 0
  const end = useEffectEvent(props.onEnd)
  useEffect(() => {
    if (last >= rows - 3) end()
  }, [last, rows])
  return (
    <section
      ref={area}
      aria-label={props.label}
      style={{ height: virtual.getTotalSize(), position: 'relative' }}
    >
      {room.width > 0 &&
        drawn.map(({ index, start }) => (
          <div
            key={index}
            className={classes.row}
            style={{
              transform: `translateY(${start - virtual.options.scrollMargin}px)`,
              gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
            }}
          >
            {items.slice(index * columns, (index + 1) * columns).map((item) => (
              <Fragment key={props.keyOf(item)}>{props.children(item)}</Fragment>
            ))}
          </div>
        ))}
    </section>
  )
}
