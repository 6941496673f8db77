/** What boxes sent to be learned from, as pictures; what they may send; one of them opens large. */
import {
  type FieldSample,
  type FieldSamplePage,
  type SampleReason,
  sampleReasons,
} from '@edgeloop/protocol'
import { Button, NativeSelect, Skeleton, Switch, TextInput } from '@mantine/core'
import { IconPhotoDown } from '@tabler/icons-react'
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo, useRef, useState } from 'react'
import { useChanges } from '../api/changes.tsx'
import cards from '../datasets/picture-grid.module.css'
import { PictureGrid } from '../datasets/picture-grid.tsx'
import { SamplePicture } from '../datasets/sample-picture.tsx'
import { useSampleWalk } from '../datasets/sample-view.tsx'
import { deviceListQuery } from '../devices/device-queries.ts'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { TextFilter, withCurrent } from '../shell/text-filter.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { AskFrames } from './ask-frames.tsx'
import { BudgetCard } from './budget-card.tsx'
import type { FieldFilter } from './field-filter.ts'
import { FieldPanel } from './field-panel.tsx'
import { fieldListQuery, sampleBudgetQuery } from './field-queries.ts'
import { reasonWords, sayFound } from './sample-words.ts'
import classes from './samples.module.css'

const route = getRouteApi('/in/samples')

/** More devices than this are typed, not picked from a list. */
const devicesListedMax = 200

export function SamplesPage() {
  const { sample: opened, found = false, ...filter } = route.useSearch()
  const navigate = route.useNavigate()
  const query = useInfiniteQuery(fieldListQuery(filter))
  const samples = useMemo(
    () => query.data?.pages.flatMap((page) => page.samples) ?? [],
    [query.data],
  )
  const { isStale, renew } = useArrivals()
  const open = (sampleId: number | undefined) =>
    void navigate({
      search: ({ sample: _, ...rest }) =>
        sampleId === undefined ? rest : { ...rest, sample: sampleId },
      replace: opened !== undefined && sampleId !== undefined,
      resetScroll: false,
    })
  const keys = useMemo(() => samples.map(({ sampleId }) => sampleId), [samples])
  const walk = useSampleWalk({ keys, opened, query, open })

  if (opened !== undefined) {
    return (
      <Page title="Samples">
        <FieldPanel key={opened} sampleId={opened} walk={walk} />
      </Page>
    )
  }
  const { device, stream } = filter
  const isNarrowed = Object.keys(filter).length > 0
  return (
    <Page
      title="Samples"
      aside={
        device !== undefined &&
        stream !== undefined && <AskFrames deviceId={device} streamId={stream} />
      }
    >
      <BudgetCard />
      <Filters filter={filter} found={found} />
      {isStale && samples.length > 0 && (
        <p role="status" className={classes.newer}>
          Samples have come or gone since.{' '}
          <Button size="compact-xs" variant="default" onClick={renew}>
            Show the newest
          </Button>
        </p>
      )}
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {() =>
          samples.length > 0 ? (
            <PictureGrid
              label="Samples"
              items={samples}
              keyOf={({ sampleId }) => sampleId}
              lines={3}
              place={walk.place}
              onEnd={walk.fetchMore}
            >
              {(sample) => <Card sample={sample} found={found} />}
            </PictureGrid>
          ) : isNarrowed ? (
            <Empty title="No sample fits">
              <Button
                size="xs"
                variant="default"
                onClick={() => void navigate({ search: {}, replace: true })}
              >
                Show all samples
              </Button>
            </Empty>
          ) : (
            <Empty
              icon={<IconPhotoDown size={32} stroke={1.5} />}
              title="No box has sent a sample yet"
              text="A stream keeps frames to be learned from once that is switched on: open a device, then the stream, and tick “Keep frames to learn from” under Samples. It costs nothing before that."
            >
              <Link to="/devices">Look at the devices</Link>
            </Empty>
          )
        }
      </QueryState>
    </Page>
  )
}

/**
 * Whether samples came or went since the list was fetched. A list that is being looked at does not move by itself;
 * an empty one fills.
 */
function useArrivals(): { isStale: boolean; renew: () => void } {
  const queryClient = useQueryClient()
  const [isStale, setStale] = useState(false)
  const renew = () => {
    setStale(false)
    void queryClient.resetQueries({ queryKey: ['fieldSamples', 'list'] })
    void queryClient.invalidateQueries({ queryKey: sampleBudgetQuery.queryKey })
  }
  const pages = () =>
    queryClient
      .getQueriesData<{ pages: FieldSamplePage[] }>({
        queryKey: ['fieldSamples', 'list'],
        type: 'active',
      })
      .flatMap(([, data]) => data?.pages ?? [])
  useChanges(
    (batch) => {
      if (!batch.some(({ kind }) => kind === 'samples')) return
      if (pages().every(({ samples }) => samples.length === 0)) renew()
      else setStale(true)
    },
    () => {
      // Nobody knows what was missed: one page is fetched again, many are not.
      if (pages().length > 1) setStale(true)
      else void queryClient.invalidateQueries({ queryKey: ['fieldSamples', 'list'] })
    },
  )
  return { isStale, renew }
}

function Filters({ filter, found }: { filter: FieldFilter; found: boolean }) {
  const navigate = route.useNavigate()
  const first = useRef<HTMLSelectElement>(null)
  useKeys({ focusFilter: () => first.current?.focus() })
  const { data: devices = [] } = useQuery(deviceListQuery)
  const { data: budget } = useQuery(sampleBudgetQuery)
  const set = (
    change: { readonly [K in keyof FieldFilter]?: FieldFilter[K] | undefined } & {
      found?: true | undefined
    },
  ) =>
    void navigate({
      search: (before) => {
        const after = Object.entries({ ...before, ...change }).filter(
          ([, value]) => value !== undefined && value !== '',
        )
        return Object.fromEntries(after)
      },
      replace: true,
    })
  const sites = [...new Set(devices.map(({ site }) => site))].sort()
  const streams = (budget?.streams ?? [])
    .filter(({ deviceId }) => deviceId === filter.device)
    .map(({ streamId }) => streamId)
  const choices = (all: string, values: readonly string[], current: string | undefined) => [
    { value: '', label: all },
    ...withCurrent(
      values.map((value) => ({ value, label: value })),
      current,
    ),
  ]
  return (
    <search className={classes.filters}>
      <NativeSelect
        ref={first}
        size="xs"
        aria-label="Reason"
        value={filter.reason ?? ''}
        data={[
          { value: '', label: 'All reasons' },
          ...sampleReasons.map((reason) => ({ value: reason, label: reasonWords[reason] })),
        ]}
        onChange={({ currentTarget: { value } }) =>
          set({ reason: value === '' ? undefined : (value as SampleReason) })
        }
      />
      {devices.length > devicesListedMax ? (
        <TextFilter
          key={`device ${filter.device}`}
          name="Device"
          text={filter.device}
          onChange={(device) => set({ device, stream: undefined })}
        />
      ) : (
        <NativeSelect
          size="xs"
          aria-label="Device"
          value={filter.device ?? ''}
          data={[
            { value: '', label: 'All devices' },
            ...withCurrent(
              devices.map(({ deviceId, name }) => ({ value: deviceId, label: name })),
              filter.device,
            ),
          ]}
          onChange={({ currentTarget: { value } }) =>
            set({ device: value || undefined, stream: undefined })
          }
        />
      )}
      {(filter.device ?? filter.stream) !== undefined && (
        <NativeSelect
          size="xs"
          aria-label="Stream"
          value={filter.stream ?? ''}
          data={choices('All streams', streams, filter.stream)}
          onChange={({ currentTarget: { value } }) => set({ stream: value || undefined })}
        />
      )}
      {(sites.length > 1 || filter.site !== undefined) && (
        <NativeSelect
          size="xs"
          aria-label="Site"
          value={filter.site ?? ''}
          data={choices('All sites', sites, filter.site)}
          onChange={({ currentTarget: { value } }) => set({ site: value || undefined })}
        />
      )}
      <TextFilter
        key={`model ${filter.model}`}
        name="Model"
        text={filter.model}
        onChange={(model) => set({ model })}
      />
      {(['from', 'to'] as const).map((edge) => (
        <TextInput
          key={edge}
          size="xs"
          type="date"
          leftSection={edge}
          leftSectionWidth={44}
          aria-label={edge === 'from' ? 'First day (UTC)' : 'Last day (UTC)'}
          title={edge === 'from' ? 'First day (UTC)' : 'Last day (UTC)'}
          value={filter[edge] ?? ''}
          onChange={({ currentTarget: { value } }) => set({ [edge]: value || undefined })}
        />
      ))}
      <Switch
        size="xs"
        label="What the box found"
        checked={found}
        onChange={({ currentTarget }) => set({ found: currentTarget.checked || undefined })}
      />
    </search>
  )
}

function Card({ sample, found }: { sample: FieldSample; found: boolean }) {
  const { sampleId, deviceId, streamId, capturedAt, reason, detections } = sample
  const annotations = detections.map(({ label, box }) => ({ kind: 'box' as const, label, box }))
  return (
    <Link
      from="/samples"
      to="."
      search={(search) => ({ ...search, sample: sampleId })}
      className={cards.card ?? ''}
      resetScroll={false}
    >
      <span className={cards.face}>
        <SamplePicture sample={{ ...sample, annotations }} small bare={!found} />
      </span>
      <span className={cards.first}>
        <b className="clip">{reasonWords[reason]}</b>
        <Ago at={capturedAt} />
      </span>
      <span className="clip">
        {deviceId}/{streamId}
      </span>
      <span className="clip dim" title={sayFound(sample)}>
        {sayFound(sample)}
      </span>
    </Link>
  )
}
