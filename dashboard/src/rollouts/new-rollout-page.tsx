/** Puts a rollout together: which version, on which boxes, in which stages; what it will hit is seen all the while. */
import {
  approvals,
  careDefaults,
  careDoubts,
  type RolloutPreview,
  rollBackScopes,
} from '@edgeloop/protocol'
import {
  Button,
  Checkbox,
  Group,
  NativeSelect,
  NumberInput,
  Skeleton,
  TagsInput,
  TextInput,
} from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useMutation, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type FormEvent, useEffect, useRef } from 'react'
import { call } from '../api/call.ts'
import { deviceListQuery } from '../devices/device-queries.ts'
import {
  compilerQuery,
  modelListQuery,
  modelVersionsQuery,
  publishedListQuery,
} from '../models/model-queries.ts'
import { sessionQuery } from '../people/session.ts'
import { Page } from '../shell/page.tsx'
import { Empty } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import {
  careOf,
  type Draft,
  requestOf,
  type StageDraft,
  selectionOf,
  stagesProblem,
  stagesUsual,
  steps,
} from './draft.ts'
import { previewQuery, siteListQuery } from './rollout-queries.ts'
import { sayBoxes, saySaved, saySelection, sayWindow } from './rollout-words.ts'
import classes from './rollouts.module.css'

const route = getRouteApi('/in/rollouts/new')

/** The preview is asked for when somebody has stopped typing for so long. */
const restMs = 300

/** Suggestions under a field: as many as need no scrolling; whoever types sees others. */
const suggestionsMax = 8

type Change = { readonly [K in keyof Draft]?: Draft[K] | undefined }

export function NewRolloutPage() {
  const draft = route.useSearch()
  const navigate = route.useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const step = draft.step ?? 1
  const set = (change: Change, push = false) =>
    void navigate({
      search: (before) => {
        const next = Object.entries({ ...before, ...change }).filter(
          ([, value]) =>
            value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0),
        )
        return Object.fromEntries(next) as Draft
      },
      replace: !push,
      resetScroll: false,
    })
  const go = (next: number) => set({ step: next === 1 ? undefined : next }, true)
  const request = requestOf(draft)
  const [asked] = useDebouncedValue(request && JSON.stringify(request), restMs)
  const preview = useQuery(previewQuery(asked === undefined ? undefined : JSON.parse(asked)))
  const begin = useMutation({
    mutationFn: async () => {
      if (!request) throw new Error('Cannot begin: something is missing')
      return await call('rolloutCreate', { body: request })
    },
    onSuccess: ({ rollout }) =>
      navigate({ to: '/rollouts/$rolloutId', params: { rolloutId: rollout.rolloutId } }),
  })
  const head = useRef<HTMLHeadingElement>(null)
  const shown = useRef(step)
  useEffect(() => {
    // Whoever goes on by keyboard goes on reading where the next step begins.
    if (shown.current !== step) head.current?.focus()
    shown.current = step
  }, [step])
  const missing =
    step === 1
      ? draft.name === undefined || draft.version === undefined
        ? 'Choose a model and a version'
        : undefined
      : step === 2
        ? selectionOf(draft)
          ? undefined
          : 'Choose boxes'
        : stagesProblem(draft.stages ?? stagesUsual)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (step < steps.length) {
      if (missing === undefined) go(step + 1)
    } else begin.mutate()
  }
  if (session.role === 'viewer') {
    return (
      <Page title="New rollout" parent={<Link to="/rollouts">Rollouts</Link>}>
        <Empty
          title="Your role does not allow this"
          text="An operator can begin a rollout. An admin can change your role."
        />
      </Page>
    )
  }
  return (
    <Page title="New rollout" parent={<Link to="/rollouts">Rollouts</Link>}>
      <nav aria-label="Steps">
        <ol className={classes.steps}>
          {steps.map((word, at) => (
            <li key={word}>
              <button
                type="button"
                aria-current={step === at + 1 ? 'step' : undefined}
                onClick={() => go(at + 1)}
              >
                {at + 1}. {word}
              </button>
            </li>
          ))}
        </ol>
      </nav>
      <div className={classes.wizard}>
        <form className={classes.form} onSubmit={submit} aria-label={steps[step - 1]}>
          <h2 tabIndex={-1} ref={head}>
            {steps[step - 1]}
          </h2>
          {step === 1 && <ModelStep draft={draft} set={set} />}
          {step === 2 && <BoxesStep draft={draft} set={set} />}
          {step === 3 && <StagesStep draft={draft} set={set} />}
          {step === 4 && <Summary draft={draft} preview={preview.data} />}
          {begin.error && (
            <p className={classes.failed} role="alert">
              {begin.error.message}
            </p>
          )}
          <Group justify="space-between" gap={8}>
            <Button variant="default" disabled={step === 1} onClick={() => go(step - 1)}>
              Back
            </Button>
            {step < steps.length ? (
              <Button type="submit" disabled={missing !== undefined} title={missing}>
                Next: {steps[step]}
              </Button>
            ) : (
              <Begin request={request !== undefined} preview={preview} pending={begin.isPending} />
            )}
          </Group>
        </form>
        <aside className={classes.hit} aria-label="What it will hit">
          <Hit draft={draft} asked={asked !== undefined} preview={preview} />
        </aside>
      </div>
    </Page>
  )
}

type Preview = {
  readonly data: RolloutPreview | undefined
  readonly error: Error | null
  readonly isFetching: boolean
}

function Begin(props: { request: boolean; preview: Preview; pending: boolean }) {
  const { data, error, isFetching } = props.preview
  const why = !props.request
    ? 'Something is missing: look at the steps before'
    : error
      ? error.message
      : data?.refused || (data?.devices === 0 ? 'No box would take part' : undefined)
  return (
    <Button
      type="submit"
      disabled={why !== undefined || !data || isFetching}
      title={why}
      loading={props.pending}
    >
      Begin with {data ? sayBoxes(data.devices) : 'the boxes'}
    </Button>
  )
}

function ModelStep({ draft, set }: { draft: Draft; set: (change: Change) => void }) {
  const { data: models } = useQuery(modelListQuery)
  const { data: versions = [] } = useQuery({
    ...modelVersionsQuery(draft.name ?? ''),
    enabled: draft.name !== undefined,
  })
  const { data: published } = useQuery(publishedListQuery(draft.name ?? ''))
  const isPublished = (version: number) =>
    published?.some((one) => one.version === version) !== false
  const names = models?.map(({ newest }) => newest.name) ?? []
  if (models?.length === 0) {
    return (
      <p>
        There is no model yet. <Link to="/models">Add one</Link> first.
      </p>
    )
  }
  return (
    <>
      <NativeSelect
        label="Model"
        value={draft.name ?? ''}
        data={[{ value: '', label: 'Choose one' }, ...names]}
        onChange={({ currentTarget: { value } }) =>
          set({
            name: value,
            version: models?.find(({ newest }) => newest.name === value)?.newest.version,
          })
        }
        data-autofocus
      />
      {draft.name !== undefined && (
        <NativeSelect
          label="Version"
          description="It has to be published: what is sent is signed"
          value={draft.version === undefined ? '' : `${draft.version}`}
          data={[
            { value: '', label: 'Choose one' },
            ...versions.map((one) => ({
              value: `${one.version}`,
              label: [
                `${one.version}`,
                ...(one.champion ? ['champion'] : []),
                ...(isPublished(one.version) ? [] : ['not published']),
                ...(one.note ? [one.note] : []),
              ].join(', '),
              disabled: !isPublished(one.version),
            })),
          ]}
          onChange={({ currentTarget: { value } }) =>
            set({ version: value === '' ? undefined : Number(value) })
          }
        />
      )}
      <TextInput
        label="Note"
        placeholder="night shift, after the new lamps"
        value={draft.note ?? ''}
        maxLength={500}
        onChange={(event) => set({ note: event.currentTarget.value })}
      />
    </>
  )
}

function BoxesStep({ draft, set }: { draft: Draft; set: (change: Change) => void }) {
  const { data: devices = [] } = useQuery(deviceListQuery)
  const { data: sites = [] } = useQuery(siteListQuery)
  const { data: compiler } = useQuery(compilerQuery)
  const all = draft.all === true
  const field = (
    key: 'sites' | 'tags' | 'targets' | 'devices',
    label: string,
    description: string,
    known: readonly string[],
  ) => (
    <TagsInput
      label={label}
      description={description}
      value={[...(draft[key] ?? [])]}
      data={[...known]}
      disabled={all}
      limit={suggestionsMax}
      maxDropdownHeight={360}
      comboboxProps={{ withinPortal: false }}
      onChange={(value) => set({ [key]: value })}
    />
  )
  return (
    <>
      <Checkbox
        label="Every device"
        checked={all}
        onChange={(event) =>
          set(
            event.currentTarget.checked
              ? {
                  all: true,
                  sites: undefined,
                  tags: undefined,
                  targets: undefined,
                  devices: undefined,
                }
              : { all: undefined },
          )
        }
      />
      <p className="dim">
        Or those that fit every list below; a device fits a list by any of its words.
      </p>
      {field(
        'sites',
        'Sites',
        'Where they stand',
        sites.map(({ site }) => site),
      )}
      {field(
        'tags',
        'Tags',
        'Words that people put on devices',
        unique(devices.flatMap(({ tags }) => tags)),
      )}
      {field(
        'targets',
        'Kinds of boxes',
        'What models are compiled for',
        compiler?.targets.map(({ name }) => name) ?? [],
      )}
      {field(
        'devices',
        'Devices',
        'By their ids',
        devices.map(({ deviceId }) => deviceId),
      )}
      <Checkbox
        label="Devices that fit only later join"
        checked={draft.join === true}
        onChange={(event) => set({ join: event.currentTarget.checked || undefined })}
      />
    </>
  )
}

const unique = (words: readonly string[]): string[] => [...new Set(words)].sort()

const approvalWords = {
  none: 'Nobody: it goes on by itself while it does well',
  'after-canary': 'After the first stage',
  'every-stage': 'Before each stage',
} as const
const stopWords = {
  all: 'All boxes that took it up go back',
  stage: 'Boxes of its stage go back',
  none: 'No box goes back',
} as const
const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const
const everyDay = [1, 2, 3, 4, 5, 6, 7]

function StagesStep({ draft, set }: { draft: Draft; set: (change: Change) => void }) {
  const stages = draft.stages ?? stagesUsual
  const problem = stagesProblem(stages)
  const { window } = draft
  const change = (at: number, part: Partial<StageDraft>) =>
    set({ stages: stages.map((one, i) => (i === at ? { ...one, ...part } : one)) })
  const number =
    (then: (value: number) => void) =>
    (value: string | number): void => {
      if (typeof value === 'number') then(value)
    }
  return (
    <>
      <fieldset className={classes.stageRows}>
        <legend>Stages</legend>
        {stages.map((stage, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: stages are told apart by their place alone
          <div key={at} className={classes.stageRow}>
            <NumberInput
              label={`Stage ${at + 1}, % of boxes`}
              size="xs"
              value={stage.percent}
              min={0.1}
              max={100}
              onChange={number((percent) => change(at, { percent }))}
            />
            <NumberInput
              label="At least boxes"
              size="xs"
              value={stage.atLeast}
              min={0}
              max={10_000}
              allowDecimal={false}
              onChange={number((atLeast) => change(at, { atLeast }))}
            />
            <NumberInput
              label="Then wait, min"
              size="xs"
              value={stage.soakMinutes}
              min={0}
              max={43_200}
              allowDecimal={false}
              onChange={number((soakMinutes) => change(at, { soakMinutes }))}
            />
            <Button
              size="xs"
              variant="default"
              disabled={stages.length === 1}
              aria-label={`Remove stage ${at + 1}`}
              onClick={() => set({ stages: stages.filter((_, i) => i !== at) })}
            >
              Remove
            </Button>
          </div>
        ))}
        <Button
          size="xs"
          variant="default"
          disabled={stages.length >= 20}
          onClick={() => {
            const last = stages.at(-2)?.percent ?? 0
            const between = Math.round(((last + 100) / 2) * 10) / 10
            const added = { percent: between, atLeast: 0, soakMinutes: 30 }
            set({ stages: [...stages.slice(0, -1), added, ...stages.slice(-1)] })
          }}
        >
          Add a stage
        </Button>
        {problem && (
          <p className={classes.failed} role="alert">
            {problem}
          </p>
        )}
      </fieldset>
      <NativeSelect
        label="Approval"
        value={draft.approval ?? 'none'}
        data={approvals.map((value) => ({ value, label: approvalWords[value] }))}
        onChange={({ currentTarget: { value } }) =>
          set({ approval: approvals.find((one) => one === value && one !== 'none') })
        }
      />
      <NativeSelect
        label="When it stops by itself"
        value={draft.onStop ?? 'all'}
        data={rollBackScopes.map((value) => ({ value, label: stopWords[value] }))}
        onChange={({ currentTarget: { value } }) =>
          set({ onStop: rollBackScopes.find((one) => one === value && one !== 'all') })
        }
      />
      <Checkbox
        label="Only in a maintenance window"
        checked={window !== undefined}
        onChange={(event) =>
          set({
            window: event.currentTarget.checked
              ? { days: everyDay, from: '22:00', to: '05:00' }
              : undefined,
          })
        }
      />
      {window && (
        <fieldset className={classes.window}>
          <legend>Window, by the clock of each site</legend>
          <div className={classes.days}>
            {days.map((word, at) => (
              <Checkbox
                key={word}
                size="xs"
                label={word}
                checked={window.days.includes(at + 1)}
                onChange={(event) => {
                  const chosen = event.currentTarget.checked
                    ? [...window.days, at + 1].sort()
                    : window.days.filter((day) => day !== at + 1)
                  if (chosen.length > 0) set({ window: { ...window, days: chosen } })
                }}
              />
            ))}
          </div>
          <Group gap={8}>
            {(['from', 'to'] as const).map((end) => (
              <TextInput
                key={end}
                size="xs"
                type="time"
                label={end === 'from' ? 'From' : 'To'}
                value={window[end]}
                required
                onChange={({ currentTarget: { value } }) =>
                  value !== '' && set({ window: { ...window, [end]: value } })
                }
              />
            ))}
          </Group>
        </fieldset>
      )}
      <fieldset className={classes.care}>
        <legend>Care on each box</legend>
        <NumberInput
          size="xs"
          label="Beside the model before, min"
          placeholder="10"
          value={draft.shadowMinutes ?? ''}
          min={0}
          max={1440}
          allowDecimal={false}
          onChange={(value) =>
            set({ shadowMinutes: typeof value === 'number' ? value : undefined })
          }
        />
        <NumberInput
          size="xs"
          label="On probation, min"
          placeholder="30"
          value={draft.probationMinutes ?? ''}
          min={0}
          max={1440}
          allowDecimal={false}
          onChange={(value) =>
            set({ probationMinutes: typeof value === 'number' ? value : undefined })
          }
        />
        <NumberInput
          size="xs"
          label="Least agreement, %"
          placeholder="60"
          value={draft.agreement ?? ''}
          min={0}
          max={100}
          allowDecimal={false}
          onChange={(value) => set({ agreement: typeof value === 'number' ? value : undefined })}
        />
        {careDoubts({ ...careDefaults, ...careOf(draft) }).map((doubt) => (
          <p key={doubt} className={classes.doubt}>
            {doubt}
          </p>
        ))}
      </fieldset>
    </>
  )
}

function Summary({ draft, preview }: { draft: Draft; preview: RolloutPreview | undefined }) {
  const select = selectionOf(draft)
  const stages = draft.stages ?? stagesUsual
  return (
    <dl className={classes.summary}>
      <div>
        <dt>What</dt>
        <dd>
          {draft.name && draft.version ? `${draft.name}/${draft.version}` : 'Not chosen'}
          {draft.note && <span className="dim"> {draft.note}</span>}
        </dd>
      </div>
      <div>
        <dt>Where</dt>
        <dd>
          {select ? saySelection(select) : 'Not chosen'}
          {preview && `: ${sayBoxes(preview.devices)}`}
        </dd>
      </div>
      <div>
        <dt>Stages</dt>
        <dd>
          {preview
            ? preview.stages.map(({ name, devices }) => `${name}: ${sayCount(devices)}`).join(' → ')
            : stages.map(({ percent }) => `${percent} %`).join(' → ')}
        </dd>
      </div>
      <div>
        <dt>When</dt>
        <dd>{draft.window ? sayWindow(draft.window) : 'At any time'}</dd>
      </div>
      <div>
        <dt>Yes</dt>
        <dd>{approvalWords[draft.approval ?? 'none']}</dd>
      </div>
      <div>
        <dt>When it stops</dt>
        <dd>{stopWords[draft.onStop ?? 'all']}</dd>
      </div>
      {preview && preview.bytes.whole > 0 && (
        <div>
          <dt>Bytes</dt>
          <dd>{saySaved(preview.bytes.expected, preview.bytes.whole)}</dd>
        </div>
      )}
    </dl>
  )
}

function Hit(props: { draft: Draft; asked: boolean; preview: Preview }) {
  const { asked, preview } = props
  const { data, error, isFetching } = preview
  if (!asked) {
    return <p className="dim">What it will hit is seen here once model and boxes are chosen.</p>
  }
  if (error) {
    return (
      <p className={classes.failed} role="alert">
        {error.message}
      </p>
    )
  }
  if (!data) return <Skeleton height={160} />
  return (
    <>
      <h2>
        <span role="status">{sayBoxes(data.devices)}</span>{' '}
        {isFetching && <span className="dim">counting…</span>}
      </h2>
      {data.refused && (
        <p className={classes.failed} role="alert">
          {data.refused}
        </p>
      )}
      <ol className={classes.hitStages}>
        {data.stages.map(({ name, devices, reachable, first }, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: stages are told apart by their place alone
          <li key={at} title={first.join(', ')}>
            <b>{name}</b> {sayBoxes(devices)},{' '}
            <span className="dim">{sayCount(reachable)} reachable</span>
            {first.length > 0 && (
              <div className="dim">
                {first.slice(0, 4).join(', ')}
                {devices > 4 && ` and ${sayCount(devices - 4)} more`}
              </div>
            )}
          </li>
        ))}
      </ol>
      {data.sites.length > 1 && (
        <p className="dim">
          {data.sites.map(({ site, devices }) => `${site} ${sayCount(devices)}`).join(', ')}
        </p>
      )}
      {data.busy.map(({ rolloutId, version, devices }) => (
        <p key={rolloutId}>
          <Status
            kind="warn"
            word={`${sayBoxes(devices)} are in the rollout of version ${version}`}
          />{' '}
          <Link to="/rollouts/$rolloutId" params={{ rolloutId }}>
            Look at it
          </Link>
        </p>
      ))}
      {data.bytes.whole > 0 && <p>{saySaved(data.bytes.expected, data.bytes.whole)}</p>}
      {data.leftOut.length > 0 && (
        <>
          <h3 className={classes.small}>Take no part</h3>
          <ul className={classes.hits}>
            {data.leftOut.map(({ reason, devices, first }) => (
              <li key={reason} title={first.join(', ')}>
                <b>{sayBoxes(devices)}</b>: {reason}{' '}
                <span className="dim">
                  {first.slice(0, 4).join(', ')}
                  {devices > 4 && ` and ${sayCount(devices - 4)} more`}
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  )
}
