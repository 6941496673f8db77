/** The boxes of a rollout, as many as there are: only rows on screen are drawn, and further pages come as one scrolls. */
import { type BoxState, boxStates, type RolloutBox, type RolloutStage } from '@edgeloop/protocol'
import { NativeSelect, Progress, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { Link } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import { Ago } from '../shell/now.tsx'
import { Empty } from '../shell/query-state.tsx'
import { sayBytes, sayCount, sayMoment } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import type { BoxFilter } from './rollout-queries.ts'
import {
  agreementOf,
  driftOf,
  latencyRatioOf,
  sayBox,
  sayBoxState,
  sayDrift,
} from './rollout-words.ts'
import classes from './rollouts.module.css'

const rowHeightPx = 40
const searchRestMs = 300

const columns = [
  ['Box', false],
  ['Stage', false],
  ['State', false],
  ['Since', true],
  ['Agreement', true],
  ['Latency', true],
  ['Drift', true],
  ['Bytes', true],
  ['Why', false],
] as const

export function BoxFilters(props: {
  filter: BoxFilter
  stages: readonly RolloutStage[]
  total: number | undefined
  onChange: (filter: BoxFilter) => void
}) {
  const { filter, stages } = props
  const [search, setSearch] = useState(filter.search ?? '')
  const set = (change: { [K in keyof BoxFilter]?: BoxFilter[K] | undefined }) => {
    const next = Object.entries({ ...filter, ...change }).filter(
      ([, value]) => value !== undefined && value !== '',
    )
    props.onChange(Object.fromEntries(next) as BoxFilter)
  }
  const searchLater = useDebouncedCallback((text: string) => set({ search: text }), searchRestMs)
  const there = new Map<string, number>()
  for (const { states } of stages) {
    for (const [state, count] of Object.entries(states)) {
      there.set(state, (there.get(state) ?? 0) + count)
    }
  }
  const listed = boxStates.filter((state) => there.has(state) || state === filter.state)
  return (
    <search className={classes.filters}>
      <NativeSelect
        size="xs"
        label="State"
        value={filter.state ?? ''}
        data={[
          { value: '', label: 'Any' },
          ...listed.map((value) => ({
            value,
            label: `${sayBoxState(value).word} (${sayCount(there.get(value) ?? 0)})`,
          })),
        ]}
        onChange={({ currentTarget: { value } }) =>
          set({ state: value === '' ? undefined : (value as BoxState) })
        }
      />
      <NativeSelect
        size="xs"
        label="Stage"
        value={filter.stage ?? ''}
        data={[
          { value: '', label: 'All' },
          ...stages.map(({ name }, at) => ({ value: `${at}`, label: `${at + 1}. ${name}` })),
        ]}
        onChange={({ currentTarget: { value } }) =>
          set({ stage: value === '' ? undefined : Number(value) })
        }
      />
      <TextInput
        size="xs"
        label="Box"
        placeholder="Id, name or site"
        value={search}
        maxLength={100}
        data-filter
        onChange={({ currentTarget: { value } }) => {
          setSearch(value)
          searchLater(value)
        }}
      />
      {props.total !== undefined && (
        <span className={classes.total} role="status">
          {sayCount(props.total)} {props.total === 1 ? 'box' : 'boxes'}
        </span>
      )}
    </search>
  )
}

export function BoxTable(props: {
  boxes: readonly RolloutBox[]
  stages: readonly RolloutStage[]
  total: number
  onEnd: () => void
}) {
  const { boxes, stages } = props
  const scroller = useRef<HTMLElement>(null)
  const virtual = useVirtualizer({
    count: boxes.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeightPx,
    overscan: 12,
  })
  const items = virtual.getVirtualItems()
  const before = items[0]?.start ?? 0
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0)
  const last = items.at(-1)?.index ?? 0
  const end = useEffectEvent(props.onEnd)
  useEffect(() => {
    if (last >= boxes.length - 20) end()
  }, [last, boxes.length])
  if (boxes.length === 0) return <Empty title="No box fits" />
  return (
    <div className={classes.boxArea}>
      <Scroller label="List of boxes" ref={scroller} filled>
        <table className={classes.boxTable} aria-rowcount={props.total + 1}>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map(([word, right]) => (
                <th key={word} data-right={right} scope="col">
                  {word}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {before > 0 && <tr aria-hidden style={{ height: before }} />}
            {items.map(({ index }) => {
              const box = boxes[index]
              return (
                box && (
                  <tr key={box.deviceId} aria-rowindex={index + 2} data-box={box.deviceId}>
                    <Cells box={box} stageName={stages[box.stage]?.name ?? `${box.stage + 1}`} />
                  </tr>
                )
              )
            })}
            {after > 0 && <tr aria-hidden style={{ height: after }} />}
          </tbody>
        </table>
      </Scroller>
    </div>
  )
}

const none = <span className="dim">–</span>

function Cells({ box, stageName }: { box: RolloutBox; stageName: string }) {
  const { kind, word } = sayBox(box)
  const [agreement, latency, drift] = [agreementOf(box), latencyRatioOf(box), driftOf(box)]
  const fetching = box.state === 'downloading' && box.bytes.total > 0
  return (
    <>
      <td>
        <Link
          to="/devices/$deviceId/models"
          params={{ deviceId: box.deviceId }}
          className={`clip ${classes.box}`}
          title={`${box.deviceId}, site ${box.site}`}
        >
          <bdi>{box.deviceName}</bdi>
        </Link>
      </td>
      <td>{stageName}</td>
      <td>
        <Status kind={kind} word={word} />
        {!box.reachable && <span className="dim"> not reachable</span>}
        {fetching && (
          <Progress
            className={classes.fetching ?? ''}
            value={(100 * box.bytes.done) / box.bytes.total}
            aria-label={`Download of ${box.deviceName}`}
          />
        )}
      </td>
      <td data-right title={sayMoment(Date.parse(box.since))}>
        <Ago at={box.since} />
      </td>
      <td data-right>{agreement === null ? none : `${Math.round(agreement * 100)} %`}</td>
      <td data-right>{latency === null ? none : `${latency.toFixed(2)}×`}</td>
      <td data-right>{drift === null ? none : sayDrift(drift)}</td>
      <td data-right title={`${box.bytes.codec}, whole file ${sayBytes(box.bytes.whole)}`}>
        {box.bytes.fromHub + box.bytes.fromMirrors === 0
          ? none
          : sayBytes(box.bytes.fromHub + box.bytes.fromMirrors)}
      </td>
      <td className="clip" title={box.reason || undefined}>
        {box.code && <span className="mono">{box.code}</span>} {box.reason}
      </td>
    </>
  )
}
