/** Sets a pipeline: what begins a round, and how its steps are done. What this page does not show stays as it is. */
import {
  type PipelineConfig,
  type PipelineRequest,
  pipelineDefaults,
  pipelineOf,
} from '@edgeloop/protocol'
import {
  Autocomplete,
  Button,
  Group,
  NativeSelect,
  NumberInput,
  Skeleton,
  Switch,
  Textarea,
  TextInput,
} from '@mantine/core'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { modelListQuery } from '../models/model-queries.ts'
import { sessionQuery } from '../people/session.ts'
import { datasetNamesQuery } from '../runs/new-run.tsx'
import { trainerQuery } from '../runs/run-queries.ts'
import { settingsIn } from '../runs/settings-text.ts'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { pipelineListQuery, pipelineQuery } from './pipeline-queries.ts'
import classes from './pipelines.module.css'

const route = getRouteApi('/in/pipelines/new')
const hourMs = 3_600_000

export function PipelineFormPage() {
  const { model } = route.useSearch()
  return (
    <Page
      title={model === undefined ? 'New pipeline' : `Pipeline of ${model}`}
      parent={<Link to="/pipelines">Pipelines</Link>}
    >
      {model === undefined ? (
        <Form known={undefined} config={pipelineOf({ dataset: '' })} />
      ) : (
        <Known model={model} />
      )}
    </Page>
  )
}

function Known({ model }: { model: string }) {
  const query = useQuery(pipelineQuery(model))
  return (
    <QueryState query={query} skeleton={<Skeleton height={400} />}>
      {({ config }) => <Form known={model} config={config} />}
    </QueryState>
  )
}

/** A recipe as lines of `KEY=VALUE`. */
const linesOf = (value: unknown, path = ''): string[] =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, inner]) =>
        linesOf(inner, path === '' ? key : `${path}.${key}`),
      )
    : [`${path}=${JSON.stringify(value)}`]

function Form({ known, config }: { known: string | undefined; config: PipelineConfig }) {
  const navigate = useNavigate()
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const { data: datasets = [] } = useQuery(datasetNamesQuery)
  const { data: models = [] } = useQuery(modelListQuery)
  const { data: trainer } = useQuery(trainerQuery)
  const [model, setModel] = useState(known ?? '')
  const [wish, setWish] = useState(config)
  const [recipe, setRecipe] = useState(linesOf(config.train.recipe).join('\n'))
  const read = settingsIn(recipe)
  const dataset = wish.dataset || (datasets[0]?.name ?? '')
  const { trigger, train, gate, rollout } = wish
  const change = (more: Partial<PipelineConfig>) => setWish({ ...wish, ...more })
  const number = (value: string | number, otherwise: number) =>
    typeof value === 'number' ? value : otherwise
  const put = useMutation({
    mutationFn: () => {
      const settings = 'settings' in read ? { ...read.settings } : {}
      const body: PipelineRequest = { ...wish, dataset, train: { ...train, recipe: settings } }
      return call('pipelinePut', { params: { model }, body })
    },
    onSuccess: async (row) => {
      queryClient.setQueryData(pipelineQuery(model).queryKey, row)
      void queryClient.invalidateQueries(pipelineListQuery)
      await navigate({ to: '/pipelines/$model', params: { model }, search: {} })
    },
  })
  const refused = session.role === 'viewer' ? 'Only an operator can set pipelines' : undefined
  return (
    <form
      className={classes.form}
      onSubmit={(event: FormEvent) => {
        event.preventDefault()
        put.mutate()
      }}
    >
      <Autocomplete
        label="Model"
        description="Its versions are what the pipeline makes"
        value={model}
        data={models.map(({ newest }) => newest.name)}
        onChange={(value) => setModel(value.trim().toLowerCase())}
        disabled={known !== undefined}
        maxLength={63}
        required
      />
      <NativeSelect
        label="Dataset"
        value={dataset}
        data={datasets.map(({ name }) => name)}
        onChange={(event) => change({ dataset: event.currentTarget.value })}
      />
      <fieldset>
        <legend>A round begins</legend>
        <NumberInput
          label="At so many new annotations"
          description="Empty: they begin none"
          value={trigger.annotations ?? ''}
          min={1}
          max={1_000_000}
          onChange={(value) =>
            change({
              trigger: { ...trigger, annotations: typeof value === 'number' ? value : null },
            })
          }
        />
        <Switch
          label="At a drift alarm of a stream that runs it"
          checked={trigger.drift !== null}
          onChange={(event) =>
            change({
              trigger: {
                ...trigger,
                drift: event.currentTarget.checked ? { kinds: [], annotationsMin: 30 } : null,
              },
            })
          }
        />
        {trigger.drift && (
          <NumberInput
            label="New annotations to answer the alarm"
            value={trigger.drift.annotationsMin}
            min={0}
            max={1_000_000}
            onChange={(value) =>
              trigger.drift &&
              change({
                trigger: {
                  ...trigger,
                  drift: { ...trigger.drift, annotationsMin: number(value, 0) },
                },
              })
            }
          />
        )}
        <TextInput
          label="At a time: minute, hour, day, month, weekday"
          description="In the hub’s time zone, such as 17 3 * * 1; empty: at none"
          value={trigger.cron ?? ''}
          onChange={(event) =>
            change({ trigger: { ...trigger, cron: event.currentTarget.value || null } })
          }
          maxLength={100}
          spellCheck={false}
        />
        <NumberInput
          label="Hours between two rounds, at least"
          value={trigger.intervalMinMs / hourMs}
          min={0}
          max={8784}
          onChange={(value) =>
            change({
              trigger: { ...trigger, intervalMinMs: Math.round(number(value, 0) * hourMs) },
            })
          }
        />
      </fieldset>
      <fieldset>
        <legend>Training</legend>
        <Autocomplete
          label="From, while the model has no version"
          description="Its champion afterwards"
          value={train.from ?? ''}
          data={(trainer?.builders ?? []).map((one) => `new:${one}`)}
          onChange={(value) => {
            const { from: _, ...rest } = train
            change({ train: value === '' ? rest : { ...rest, from: value } })
          }}
        />
        <Textarea
          className={classes.whole ?? ''}
          label="Recipe"
          description="What is to be other than usual, one KEY=VALUE a line"
          value={recipe}
          onChange={(event) => setRecipe(event.currentTarget.value)}
          rows={3}
          spellCheck={false}
          error={'problem' in read ? read.problem : undefined}
        />
        <NumberInput
          label="Share of each batch from the rounds before, %"
          description="0: all samples alike"
          value={Math.round(train.replayShare * 100)}
          min={0}
          max={95}
          onChange={(value) => change({ train: { ...train, replayShare: number(value, 0) / 100 } })}
        />
      </fieldset>
      <fieldset>
        <legend>Gate</legend>
        <NumberInput
          label="Better than the champion by, at least"
          value={gate.gainMin}
          min={-1}
          max={1}
          step={0.01}
          decimalScale={4}
          onChange={(value) => change({ gate: { ...gate, gainMin: number(value, 0) } })}
        />
        <NumberInput
          label="Worse at a site by, at most"
          description="Beside what chance explains; a site where it is more keeps what it has"
          value={gate.siteDropMax}
          min={0}
          max={1}
          step={0.01}
          decimalScale={4}
          onChange={(value) => change({ gate: { ...gate, siteDropMax: number(value, 0) } })}
        />
        <NumberInput
          label="Test samples of a site below which nothing is known"
          value={gate.siteSamplesMin}
          min={2}
          max={100_000}
          onChange={(value) => change({ gate: { ...gate, siteSamplesMin: number(value, 10) } })}
        />
      </fieldset>
      <fieldset>
        <legend>To the boxes</legend>
        <Switch
          label="Compile for the targets of the boxes"
          description="Otherwise they get the file as it was trained"
          checked={wish.compile !== null}
          onChange={(event) =>
            change({ compile: event.currentTarget.checked ? (config.compile ?? {}) : null })
          }
        />
        <Switch
          label="Roll it out"
          checked={rollout !== null}
          onChange={(event) =>
            change({
              rollout: event.currentTarget.checked
                ? (config.rollout ?? { ...pipelineDefaults.rollout })
                : null,
            })
          }
        />
        {rollout && (
          <Switch
            label="Needs approval first"
            checked={rollout.approve}
            onChange={(event) =>
              change({ rollout: { ...rollout, approve: event.currentTarget.checked } })
            }
          />
        )}
        <NumberInput
          label="Tries of a step that fails, after the first"
          value={wish.retries}
          min={0}
          max={10}
          onChange={(value) => change({ retries: number(value, 2) })}
        />
      </fieldset>
      {put.error && (
        <p className={classes.failed} role="alert">
          {put.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button
          variant="default"
          onClick={() =>
            void (known === undefined
              ? navigate({ to: '/pipelines' })
              : navigate({ to: '/pipelines/$model', params: { model: known }, search: {} }))
          }
        >
          Cancel
        </Button>
        <Button
          type="submit"
          loading={put.isPending}
          title={refused}
          disabled={refused !== undefined || model === '' || dataset === '' || 'problem' in read}
        >
          Set the pipeline
        </Button>
      </Group>
    </form>
  )
}
