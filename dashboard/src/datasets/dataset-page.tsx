/** One dataset: what is in it, what it is made of, and what was frozen of it. */
import type { DatasetDetail, Job } from '@edgeloop/protocol'
import { Button, Modal, Skeleton } from '@mantine/core'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, Outlet, useNavigate } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { call } from '../api/call.ts'
import { JobRow } from '../jobs/job-row.tsx'
import { jobListQuery } from '../models/model-queries.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { datasetQuery, subjectOf, useDatasetChanges } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { DropArea } from './drop-area.tsx'
import type { Dropped } from './dropped.ts'

const route = getRouteApi('/in/datasets/$dataset')

const ImportForm = lazy(async () => ({ default: (await import('./import-form.tsx')).ImportForm }))
const Freeze = lazy(async () => ({ default: (await import('./freeze.tsx')).Freeze }))

const tabs = [
  { to: '/datasets/$dataset', word: 'Samples' },
  { to: '/datasets/$dataset/labels', word: 'Labels' },
  { to: '/datasets/$dataset/problems', word: 'Problems' },
  { to: '/datasets/$dataset/versions', word: 'Versions' },
  { to: '/datasets/$dataset/augmentation', word: 'Augmentation' },
] as const

export function DatasetPage() {
  useDatasetChanges()
  const { dataset } = route.useParams()
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(datasetQuery(dataset))
  const [importing, setImporting] = useState<Dropped | null>()
  const [freezing, setFreezing] = useState(false)
  const [act, setAct] = useState<Act>()
  const mayChange = session.role !== 'viewer'
  const refused = mayChange ? undefined : 'Only an operator can change datasets'
  const samples = query.data?.dataset.samples ?? 0
  const remove = ({ dataset: row }: DatasetDetail): Act => ({
    title: 'Remove a dataset',
    text: (
      <p>
        <b>{dataset}</b> goes, with {sayOf(row.samples, 'sample')} and{' '}
        {sayOf(row.versions, 'frozen version')}. Models that were trained with it stay. This cannot
        be undone.
      </p>
    ),
    word: 'Remove 1 dataset',
    run: () => call('datasetRemove', { params: { dataset } }),
    done: () => void navigate({ to: '/datasets' }),
  })
  return (
    <Page
      title={dataset}
      parent={<Link to="/datasets">Datasets</Link>}
      aside={
        <>
          <Button
            size="xs"
            variant="default"
            disabled={!mayChange}
            title={refused}
            onClick={() => setImporting(null)}
          >
            Import…
          </Button>
          <Button
            size="xs"
            disabled={!mayChange || samples === 0}
            title={refused ?? (samples === 0 ? 'There is no sample yet' : undefined)}
            onClick={() => setFreezing(true)}
          >
            Freeze…
          </Button>
          {session.role === 'admin' && query.data && (
            <Button
              size="xs"
              color="bad"
              variant="default"
              onClick={() => query.data && setAct(remove(query.data))}
            >
              Remove…
            </Button>
          )}
        </>
      }
    >
      <DropArea disabled={!mayChange} onDropped={setImporting}>
        <QueryState query={query} skeleton={<Skeleton height={400} />}>
          {(detail) => (
            <>
              <Facts detail={detail} />
              <Jobs dataset={dataset} mayChange={mayChange} />
              <nav className={classes.tabs} aria-label="Parts of this dataset">
                {tabs.map(({ to, word }) => (
                  <Link
                    key={to}
                    to={to}
                    params={{ dataset }}
                    className={classes.tab ?? ''}
                    activeOptions={{ exact: true, includeSearch: false }}
                    activeProps={{ 'aria-current': 'page' }}
                    replace
                  >
                    {word}
                  </Link>
                ))}
              </nav>
              <Outlet />
            </>
          )}
        </QueryState>
      </DropArea>
      <Modal
        opened={importing !== undefined}
        onClose={() => setImporting(undefined)}
        title={`Import into ${dataset}`}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <OnDemand when={importing !== undefined}>
          <ImportForm
            dropped={importing ?? undefined}
            word="Import"
            needed
            before={async () => dataset}
            onDone={() => setImporting(undefined)}
            onClose={() => setImporting(undefined)}
          />
        </OnDemand>
      </Modal>
      <OnDemand when={freezing}>
        <Freeze
          dataset={dataset}
          samples={samples}
          onClose={() => setFreezing(false)}
          onQueued={() => {
            setFreezing(false)
            void navigate({ to: '/datasets/$dataset/versions', params: { dataset } })
          }}
        />
      </OnDemand>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </Page>
  )
}

function Facts({ detail: { dataset } }: { detail: DatasetDetail }) {
  return (
    <>
      {dataset.description && <p className="dim">{dataset.description}</p>}
      <ul className={classes.facts}>
        <li>{sayOf(dataset.samples, 'sample')}</li>
        <li>{sayCount(dataset.annotated)} annotated</li>
        <li>{sayOf(dataset.labels.length, 'label')}</li>
        <li>{sayOf(dataset.versions, 'frozen version')}</li>
        <li>
          Changed <Ago at={dataset.changedAt} />
        </li>
      </ul>
    </>
  )
}

const jobNames: { readonly [K in Job['kind']]?: string } = {
  'dataset-import': 'Import',
  'dataset-freeze': 'Freezing',
  'dataset-inspect': 'Inspection',
}

/** What is being done, and the last thing that was, where it failed. */
function Jobs(props: { dataset: string; mayChange: boolean }) {
  const { data: jobs = [] } = useQuery(jobListQuery(subjectOf(props.dataset)))
  const shown = jobs.filter(
    ({ state }, at) =>
      state === 'queued' || state === 'running' || (at === 0 && state === 'failed'),
  )
  if (shown.length === 0) return null
  return (
    <ul className={classes.jobs} aria-label="Work on this dataset">
      {shown.map((job) => (
        <JobRow
          key={job.jobId}
          job={job}
          what={jobNames[job.kind] ?? job.kind}
          mayChange={props.mayChange}
        />
      ))}
    </ul>
  )
}
