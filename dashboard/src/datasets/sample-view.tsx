/** One sample of a list, large, with what is known of it beside it; and the way through the list by keys. */
import { ActionIcon, Button, Switch } from '@mantine/core'
import { IconArrowLeft, IconChevronLeft, IconChevronRight } from '@tabler/icons-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { classColour } from '../live/class-colour.ts'
import { useKeys } from '../shell/use-keys.ts'
import type { GridPlace } from './picture-grid.tsx'
import classes from './sample-view.module.css'

/** Samples before the end of the list at which more are fetched. */
const aheadMin = 3

export type SampleWalk = {
  readonly onClose: () => void
  readonly onPrevious: (() => void) | undefined
  readonly onNext: (() => void) | undefined
  readonly fetchMore: () => void
  /** Of the list, while a sample is in its place. */
  readonly place: GridPlace
}

/**
 * From sample to sample of a list that is fetched in pages.
 * @param props.keys of the samples that are here, in their order
 */
export function useSampleWalk<K extends string | number>(props: {
  keys: readonly K[]
  opened: K | undefined
  query: {
    readonly hasNextPage: boolean
    readonly isFetchingNextPage: boolean
    readonly fetchNextPage: () => unknown
  }
  /** Opens another one, or none. */
  open: (key: K | undefined) => void
}): SampleWalk {
  const { keys, opened, query, open } = props
  const place = useRef(0)
  const at = opened === undefined ? -1 : keys.indexOf(opened)
  const stepTo = (index: number) => {
    const key = at < 0 ? undefined : keys[index]
    return key === undefined ? undefined : () => open(key)
  }
  const [onPrevious, onNext] = [stepTo(at - 1), stepTo(at + 1)]
  const onClose = () => open(undefined)
  useKeys({
    next: () => onNext?.(),
    previous: () => onPrevious?.(),
    ...(opened !== undefined && { clear: onClose }),
  })
  const { fetchNextPage } = query
  const more = query.hasNextPage && !query.isFetchingNextPage
  useEffect(() => {
    if (more && at >= 0 && at >= keys.length - aheadMin) void fetchNextPage()
  }, [more, at, keys.length, fetchNextPage])
  return { onClose, onPrevious, onNext, place, fetchMore: () => more && void fetchNextPage() }
}

/** @param drawnWord what is drawn on the picture where that is switched on */
export function SampleView(props: {
  walk: SampleWalk
  drawnWord: string
  children: (bare: boolean) => ReactNode
}) {
  const { onClose, onPrevious, onNext } = props.walk
  const [bare, setBare] = useState(false)
  return (
    <section aria-label="Sample">
      <div className={classes.head}>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconArrowLeft size={14} aria-hidden />}
          onClick={onClose}
        >
          All samples
        </Button>
        <StepButton word="Previous sample" title="Previous (k)" act={onPrevious}>
          <IconChevronLeft size={16} aria-hidden />
        </StepButton>
        <StepButton word="Next sample" title="Next (j)" act={onNext}>
          <IconChevronRight size={16} aria-hidden />
        </StepButton>
        <Switch
          size="xs"
          label={props.drawnWord}
          checked={!bare}
          onChange={(event) => setBare(!event.currentTarget.checked)}
        />
      </div>
      {props.children(bare)}
    </section>
  )
}

function StepButton(props: {
  word: string
  title: string
  act: (() => void) | undefined
  children: ReactNode
}) {
  return (
    <ActionIcon
      variant="default"
      aria-label={props.word}
      title={props.title}
      disabled={!props.act}
      onClick={props.act}
    >
      {props.children}
    </ActionIcon>
  )
}

/** @param said what is to be seen, for whoever cannot see it */
export function SampleBody(props: {
  sample: { readonly width: number; readonly height: number }
  said: string
  picture: ReactNode
  children: ReactNode
}) {
  const { width, height } = props.sample
  return (
    <div className={classes.body}>
      <div
        className={classes.large}
        style={{ aspectRatio: `${width} / ${height}` }}
        role="img"
        aria-label={props.said}
      >
        {props.picture}
      </div>
      <div className={classes.side}>{props.children}</div>
    </div>
  )
}

/** The colour of a label on pictures. */
export const Swatch = ({ label }: { label: string }) => (
  <span className={classes.swatch} style={{ background: classColour(label) }} aria-hidden />
)

/** What is listed of a sample, one below the other. */
export const SampleLines = (props: { label?: string; children: ReactNode }) => (
  <ul className={classes.lines} aria-label={props.label}>
    {props.children}
  </ul>
)
