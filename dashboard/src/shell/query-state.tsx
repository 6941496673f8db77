/**
 * The honest states of anything that is fetched, once for all pages: loading (in the shape of what
 * comes), failed (what and what to do), out of date (since when), and what the page itself shows.
 */
import { CallFailed } from '@edgeloop/protocol'
import { Button } from '@mantine/core'
import { IconCloudOff, IconError404, IconLock, IconMoodEmpty } from '@tabler/icons-react'
import type { UseQueryResult } from '@tanstack/react-query'
import { type ReactNode, useEffect, useState } from 'react'

import classes from './query-state.module.css'
import { sayTime } from './say.ts'

/** What `QueryState` reads of a query; finite and infinite ones both fit. */
type Fetched<T> = Pick<UseQueryResult<T>, 'data' | 'error' | 'dataUpdatedAt' | 'isFetching'> & {
  refetch: () => unknown
}

/** A skeleton shows only when loading takes longer than this: no flicker on a fast hub. */
const skeletonAfterMs = 150

export function QueryState<T>(props: {
  query: Fetched<T>
  /** In the shape of what will be there, so that nothing jumps. */
  skeleton: ReactNode
  children: (data: T) => ReactNode
}) {
  const { data, error, dataUpdatedAt, isFetching, refetch } = props.query
  if (data === undefined) {
    if (error) return <Failed error={error} busy={isFetching} onRetry={() => void refetch()} />
    return <AfterAWhile>{props.skeleton}</AfterAWhile>
  }
  return (
    <>
      {error && (
        <div className={classes.stale} role="status">
          <IconCloudOff size={16} aria-hidden />
          <span>
            Data from {sayTime(dataUpdatedAt)}: {error.message}
          </span>
          <Button
            size="compact-xs"
            variant="default"
            loading={isFetching}
            onClick={() => void refetch()}
          >
            Try again
          </Button>
        </div>
      )}
      {props.children(data)}
    </>
  )
}

function AfterAWhile(props: { children: ReactNode }) {
  const [late, setLate] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), skeletonAfterMs)
    return () => clearTimeout(timer)
  }, [])
  return (
    <div aria-busy="true">
      <span className="hidden-visually" role="status">
        Loading
      </span>
      {late && props.children}
    </div>
  )
}

/** Says what could not be done, why, and the way out that fits. */
export function Failed(props: { error: unknown; busy?: boolean; onRetry?: () => void }) {
  const error = props.error instanceof Error ? props.error : new Error(String(props.error))
  const code = error instanceof CallFailed ? error.code : 'internal'
  if (code === 'notFound') {
    return <Empty icon={<IconError404 size={32} />} title="Not here" text={error.message} />
  }
  if (code === 'forbidden') {
    return (
      <Empty
        icon={<IconLock size={32} />}
        title="Your role does not allow this"
        text={`${error.message}. An admin can change your role.`}
      />
    )
  }
  return (
    <Empty
      icon={<IconCloudOff size={32} />}
      title={code === 'unreachable' ? 'No answer from the hub' : 'This did not load'}
      text={error.message}
      alert
    >
      {props.onRetry && (
        <Button variant="default" size="xs" loading={props.busy ?? false} onClick={props.onRetry}>
          Try again
        </Button>
      )}
    </Empty>
  )
}

/** Nothing to show: what this place is for, and the one next step. */
export function Empty(props: {
  title: string
  text?: ReactNode
  icon?: ReactNode
  alert?: boolean
  children?: ReactNode
}) {
  return (
    <div className={classes.empty} role={props.alert ? 'alert' : undefined}>
      <span className={classes.icon} aria-hidden>
        {props.icon ?? <IconMoodEmpty size={32} stroke={1.5} />}
      </span>
      <h2>{props.title}</h2>
      {props.text && <div className={classes.text}>{props.text}</div>}
      {props.children}
    </div>
  )
}
