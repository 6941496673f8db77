/** The log of a device's agent, asked of the device itself while somebody looks. */
import { type LogLevel, logLevels, mayAct } from '@edgeloop/protocol'
import { Button, NativeSelect, Skeleton, Switch, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconDownload, IconFileText, IconLock, IconRefresh } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { Fragment, type RefObject, useEffect, useMemo, useRef, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayMoment, sayOf, sayTime } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status, type StatusKind } from '../shell/status.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { type KeptLine, type KeptLog, keyOfLine, narrowLog, writeLog } from './device-log.ts'
import classes from './device-log-tab.module.css'
import { deviceLogQuery, deviceQuery } from './device-queries.ts'

const route = getRouteApi('/in/devices/$deviceId/logs')

const levelWords: Record<LogLevel, { kind: StatusKind; word: string; choice: string }> = {
  debug: { kind: 'offline', word: 'debug', choice: 'All levels' },
  info: { kind: 'info', word: 'info', choice: 'Info and above' },
  warn: { kind: 'warn', word: 'warn', choice: 'Warnings and errors' },
  error: { kind: 'bad', word: 'error', choice: 'Errors' },
}

export function DeviceLogTab() {
  const { data: session } = useSuspenseQuery(sessionQuery)
  if (mayAct(session.role, 'operator')) return <LogOfDevice />
  return (
    <Empty
      icon={<IconLock size={32} />}
      title="Your role does not allow this"
      text="Only an operator or admin can read the log of a device. An admin can change your role."
    />
  )
}

function LogOfDevice() {
  const { deviceId } = route.useParams()
  const search = route.useSearch()
  const follow = search.follow === true
  // The device page above has fetched it; a device that comes back is asked at once.
  const { data: detail } = useQuery(deviceQuery(deviceId))
  const online = detail?.device.connectivity === 'online'
  const query = useQuery(deviceLogQuery(deviceId, { follow, online }))
  const shown = useMemo(
    () => narrowLog(query.data?.lines ?? [], { level: search.level, words: search.q }),
    [query.data, search.level, search.q],
  )
  return (
    <section aria-label="Log">
      <Tools
        shown={shown}
        total={query.data?.lines.length ?? 0}
        busy={query.isFetching && !follow}
        onRead={() => void query.refetch()}
      />
      <QueryState query={query} skeleton={<Skeleton height={320} />}>
        {(log) => <Lines log={log} shown={shown} />}
      </QueryState>
    </section>
  )
}

const typedMs = 200

function Tools(props: {
  shown: readonly KeptLine[]
  total: number
  busy: boolean
  onRead: () => void
}) {
  const { shown, total } = props
  const { deviceId } = route.useParams()
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const input = useRef<HTMLInputElement>(null)
  const [words, setWords] = useState(search.q ?? '')
  useKeys({ focusFilter: () => input.current?.focus() })
  const change = (part: { level?: LogLevel; q?: string }) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true })
  const setFollow = (on: boolean) =>
    void navigate({
      search: ({ follow: _, ...before }) => (on ? { ...before, follow: true } : before),
      replace: true,
    })
  const say = useDebouncedCallback((q: string) => change({ q }), typedMs)
  const download = () => {
    const url = URL.createObjectURL(new Blob([writeLog(shown)], { type: 'text/plain' }))
    const link = document.createElement('a')
    link.href = url
    link.download = `${deviceId}-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.log`
    link.click()
    URL.revokeObjectURL(url)
  }
  return (
    <div className={classes.tools}>
      <TextInput
        ref={input}
        size="xs"
        w={200}
        aria-label="Search the log"
        placeholder="Search"
        maxLength={200}
        value={words}
        onChange={({ currentTarget: { value } }) => {
          setWords(value)
          say(value)
        }}
      />
      <NativeSelect
        size="xs"
        aria-label="Level"
        value={search.level ?? 'debug'}
        onChange={({ currentTarget: { value } }) =>
          change({ level: logLevels.find((level) => level === value) ?? 'debug' })
        }
        data={logLevels.map((level) => ({ value: level, label: levelWords[level].choice }))}
      />
      <Switch
        size="xs"
        label="Follow"
        title="Ask the device for new lines every other second"
        checked={search.follow === true}
        onChange={({ currentTarget: { checked } }) => setFollow(checked)}
      />
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconRefresh size={14} aria-hidden />}
        loading={props.busy}
        onClick={props.onRead}
      >
        Read again
      </Button>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconDownload size={14} aria-hidden />}
        disabled={shown.length === 0}
        title={shown.length === 0 ? 'There are no lines' : undefined}
        onClick={download}
      >
        Download
      </Button>
      <span className={classes.count} role="status">
        {shown.length === total
          ? sayOf(total, 'line')
          : `${sayCount(shown.length)} of ${sayOf(total, 'line')}`}
      </span>
    </div>
  )
}

function Lines(props: { log: KeptLog; shown: readonly KeptLine[] }) {
  const { log, shown } = props
  const scroller = useStayBelow(shown)
  const why = log.state === 'answered' ? undefined : log.reason
  if (log.lines.length === 0) {
    return (
      <Empty
        icon={<IconFileText size={32} stroke={1.5} />}
        title={why === undefined ? 'The log is empty' : 'No lines from this device'}
        text={
          why === undefined
            ? 'What the agent writes from now on is listed here.'
            : `${why}. Its newest lines are shown here as soon as it answers.`
        }
      />
    )
  }
  return (
    <>
      {why !== undefined && log.readAt !== undefined && (
        <p className={classes.stated} role="status">
          <Status
            kind={log.state === 'offline' ? 'offline' : 'warn'}
            word={log.state === 'offline' ? 'Not connected' : 'No answer'}
          />
          <span>
            {why}. These lines were read at {sayTime(log.readAt)}.
          </span>
        </p>
      )}
      {shown.length === 0 ? (
        <Empty title="No line fits" text="Choose another level, or search for something else." />
      ) : (
        <div className={classes.box}>
          <Scroller label="Lines of the log" ref={scroller}>
            <ol className={classes.lines}>
              {shown.map((line, i) => (
                <Fragment key={keyOfLine(line)}>
                  <Between before={shown[i - 1]} line={line} missing={log.gaps[keyOfLine(line)]} />
                  <Line line={line} />
                </Fragment>
              ))}
            </ol>
          </Scroller>
        </div>
      )}
    </>
  )
}

/** What happened between two lines that is not one. */
function Between(props: {
  before: KeptLine | undefined
  line: KeptLine
  missing: number | undefined
}) {
  const { before, line, missing } = props
  const anew = before !== undefined && before.bootId !== line.bootId
  if (!anew && missing === undefined) return null
  const words = [
    ...(anew ? ['The agent started anew'] : []),
    ...(missing === undefined ? [] : [`${sayOf(missing, 'earlier line')} not here`]),
  ]
  return <li className={classes.between}>{words.join(' · ')}</li>
}

function Line(props: { line: KeptLine }) {
  const { at, level, text, facts } = props.line
  const time = Date.parse(at)
  return (
    <li className={classes.line}>
      <time dateTime={at} title={sayMoment(time)}>
        {sayTime(time)}
      </time>
      <Status {...levelWords[level]} />
      <span className={classes.text}>
        <bdi>{text}</bdi> {facts && <bdi className={classes.facts}>{facts}</bdi>}
      </span>
    </li>
  )
}

/** How far from its end a list may be scrolled and still go along with it, px. */
const nearEnd = 40

/** Keeps a list at its end while it grows, unless somebody has scrolled up; at first, the end is shown. */
function useStayBelow(lines: readonly unknown[]): RefObject<HTMLElement | null> {
  const scroller = useRef<HTMLElement>(null)
  const atEnd = useRef(true)
  useEffect(() => {
    const box = scroller.current
    if (!box || lines.length === 0) return
    if (atEnd.current) box.scrollTop = box.scrollHeight
    const look = () => {
      atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < nearEnd
    }
    box.addEventListener('scroll', look, { passive: true })
    return () => box.removeEventListener('scroll', look)
  }, [lines])
  return scroller
}
