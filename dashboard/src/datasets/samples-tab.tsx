/** The samples of a dataset, or of a frozen version, as pictures with what is said of them; one opens large. */
import type { DatasetDetail, DatasetVersion, SampleShown } from '@edgeloop/protocol'
import { Button, NativeSelect, Skeleton } from '@mantine/core'
import { IconPhoto } from '@tabler/icons-react'
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import { datasetQuery, sampleListQuery, versionListQuery } from './dataset-queries.ts'
import classes from './datasets.module.css'
import cards from './picture-grid.module.css'
import { PictureGrid } from './picture-grid.tsx'
import { problemWord } from './problem-words.ts'
import type { SampleFilter } from './sample-filter.ts'
import { SamplePanel } from './sample-panel.tsx'
import { SamplePicture, sayAnnotations } from './sample-picture.tsx'
import { useSampleWalk } from './sample-view.tsx'

const parent = getRouteApi('/in/datasets/$dataset')
const route = getRouteApi('/in/datasets/$dataset/')

/** More labels than this are typed, not listed. */
const labelsListed = 200

export function SamplesTab() {
  const { dataset } = parent.useParams()
  const { sample: opened, ...filter } = route.useSearch()
  const navigate = route.useNavigate()
  const { data: detail } = useQuery(datasetQuery(dataset))
  const { data: versions = [] } = useQuery(versionListQuery(dataset))
  const query = useInfiniteQuery(sampleListQuery(dataset, filter))
  const samples = useMemo(
    () => query.data?.pages.flatMap((page) => page.samples) ?? [],
    [query.data],
  )
  const open = (digest: string | undefined) =>
    void navigate({
      search: (search) => {
        const { sample: _, ...rest } = search
        return digest === undefined ? rest : { ...rest, sample: digest }
      },
      replace: opened !== undefined && digest !== undefined,
      resetScroll: false,
    })
  const keys = useMemo(() => samples.map(({ digest }) => digest), [samples])
  const walk = useSampleWalk({ keys, opened, query, open })

  if (opened !== undefined) {
    return (
      <SamplePanel
        key={opened}
        dataset={dataset}
        digest={opened}
        listed={samples.find(({ digest }) => digest === opened)}
        version={filter.version}
        walk={walk}
      />
    )
  }
  return (
    <>
      {detail && (
        <Filters
          filter={filter}
          detail={detail}
          versions={versions}
          total={query.data?.pages[0]?.total}
          onChange={(changed) => void navigate({ search: changed, replace: true })}
        />
      )}
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {() =>
          samples.length > 0 ? (
            <PictureGrid
              label="Samples"
              items={samples}
              keyOf={({ digest }) => digest}
              lines={2}
              place={walk.place}
              onEnd={walk.fetchMore}
            >
              {(sample) => <Card sample={sample} />}
            </PictureGrid>
          ) : detail?.dataset.samples === 0 && filter.version === undefined ? (
            <Empty
              icon={<IconPhoto size={32} stroke={1.5} />}
              title="No samples yet"
              text="Drop an archive or a folder of labelled pictures here, or send one with ./edgeloop dataset import."
            />
          ) : (
            <Empty title="No sample fits">
              <Button
                size="xs"
                variant="default"
                onClick={() => void navigate({ search: {}, replace: true })}
              >
                Show all samples
              </Button>
            </Empty>
          )
        }
      </QueryState>
    </>
  )
}

function Filters(props: {
  filter: SampleFilter
  detail: DatasetDetail
  versions: readonly DatasetVersion[]
  total: number | undefined
  onChange: (filter: SampleFilter) => void
}) {
  const { filter, detail, versions } = props
  const version = versions.find((one) => one.version === filter.version)
  const labels = detail.labelCounts.slice(0, labelsListed)
  const set = (change: { readonly [K in keyof SampleFilter]?: SampleFilter[K] | undefined }) => {
    const next = Object.entries({ ...filter, ...change }).filter(
      ([, value]) => value !== undefined && value !== '',
    )
    props.onChange(Object.fromEntries(next) as SampleFilter)
  }
  const streams = [
    ...new Set(detail.sources.flatMap(({ stream }) => (stream === null ? [] : [stream]))),
  ]
  return (
    <search className={classes.filters}>
      <NativeSelect
        size="xs"
        label="Version"
        value={filter.version ?? ''}
        data={[
          { value: '', label: 'As it is now' },
          ...versions.map((one) => ({ value: `${one.version}`, label: `Version ${one.version}` })),
        ]}
        onChange={({ currentTarget: { value } }) =>
          set({
            version: value === '' ? undefined : Number(value),
            split: undefined,
            fold: undefined,
            problem: undefined,
          })
        }
      />
      <NativeSelect
        size="xs"
        label="Label"
        value={filter.label ?? (filter.annotated === 'no' ? ' none' : '')}
        data={[
          { value: '', label: 'All' },
          { value: ' none', label: 'Nothing said' },
          ...labels.map(({ label }) => ({ value: label, label })),
        ]}
        onChange={({ currentTarget: { value } }) =>
          set({
            label: value === ' none' ? undefined : value,
            annotated: value === ' none' ? 'no' : undefined,
          })
        }
      />
      {streams.length > 0 && (
        <NativeSelect
          size="xs"
          label="Stream"
          value={filter.stream ?? ''}
          data={[
            { value: '', label: 'All' },
            ...streams.map((stream) => ({ value: stream, label: stream })),
          ]}
          onChange={({ currentTarget: { value } }) => set({ stream: value })}
        />
      )}
      {!version && detail.problems.length > 0 && (
        <NativeSelect
          size="xs"
          label="Problem"
          value={filter.problem ?? ''}
          data={[
            { value: '', label: 'Any or none' },
            ...detail.problems.map(({ kind }) => ({ value: kind, label: problemWord(kind) })),
          ]}
          onChange={({ currentTarget: { value } }) => set({ problem: value })}
        />
      )}
      {version && (
        <NativeSelect
          size="xs"
          label="Side"
          value={filter.split ?? ''}
          data={[
            { value: '', label: 'All' },
            { value: 'train', label: 'Train' },
            { value: 'validation', label: 'Validation' },
            { value: 'test', label: 'Test' },
          ]}
          onChange={({ currentTarget: { value } }) =>
            set({ split: value === '' ? undefined : (value as SampleFilter['split']) })
          }
        />
      )}
      {version && version.folds.length > 1 && (
        <NativeSelect
          size="xs"
          label="Fold"
          value={filter.fold ?? 0}
          data={version.folds.map((_, fold) => ({ value: `${fold}`, label: `${fold + 1}` }))}
          onChange={({ currentTarget: { value } }) =>
            set({ fold: value === '0' ? undefined : Number(value) })
          }
        />
      )}
      {props.total !== undefined && (
        <span className={classes.total} role="status">
          {sayOf(props.total, 'sample')}
        </span>
      )}
    </search>
  )
}

function Card(props: { sample: SampleShown }) {
  const { sample } = props
  const said = sayAnnotations(sample.annotations)
  return (
    <Link
      from="/datasets/$dataset/"
      to="."
      search={(search) => ({ ...search, sample: sample.digest })}
      className={cards.card ?? ''}
      resetScroll={false}
    >
      <span className={cards.face}>
        <SamplePicture sample={sample} small />
      </span>
      <span className="clip">
        <bdi>{sample.name}</bdi>
      </span>
      <span className="clip dim" title={said}>
        {sample.split && <b>{sample.split}</b>} {said}
      </span>
    </Link>
  )
}
