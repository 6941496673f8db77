/**
 * Every place of the dashboard. What a colleague could want to see again is in the address: filters,
 * order, range, the opened event. Home comes with the first load; every other place is fetched when somebody
 * goes there, or points at the way.
 */
import {
  boxStates,
  CallFailed,
  deliveryStates,
  type LogLevel,
  logLevels,
  type RolloutState,
  rolloutStates,
  type TaskState,
  taskStates,
} from '@edgeloop/protocol'
import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { call, isRefused, isSignedOut } from './api/call.ts'
import { type AuditFilter, readAuditFilter } from './audit/audit-filter.ts'
import { readSampleFilter, type SampleFilter } from './datasets/sample-filter.ts'
import { type Range, rangeNames } from './devices/device-queries.ts'
import { type FleetView, readFleetView } from './devices/fleet-view.ts'
import { type EventFilter, readEventFilter } from './events/event-queries.ts'
import { type Span, spanNames, standardSpan } from './events/timeline.ts'
import { HomePage } from './home/home-page.tsx'
import { readWallView, type WallView } from './live/wall-view.ts'
import { sessionQuery } from './people/session.ts'
import { type Draft, readDraft } from './rollouts/draft.ts'
import type { BoxFilter } from './rollouts/rollout-queries.ts'
import type { DeliveryFilter } from './rules/rule-queries.ts'
import type { StepRange } from './runs/run-queries.ts'
import { type FieldFilter, readFieldFilter } from './samples/field-filter.ts'
import { NotFound } from './shell/not-found.tsx'
import { Failed } from './shell/query-state.tsx'
import { Shell } from './shell/shell.tsx'

export type RouterContext = {
  readonly queryClient: QueryClient
  /** Takes the token that came with the address, once. */
  readonly takeToken: () => string | undefined
  readonly onSignedOut: () => void
}

const root = createRootRouteWithContext<RouterContext>()({
  component: Outlet,
  notFoundComponent: NotFound,
})

type SignInSearch = {
  /** Where to go afterwards; only ever a place on this hub. */
  readonly to?: string
  /** A link was tried: it was `used` or too old, or the hub `failed` to look at it. */
  readonly refused?: 'used' | 'failed'
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): SignInSearch => ({
    ...(typeof search.to === 'string' && /^\/(?!\/|\\)/.test(search.to) ? { to: search.to } : {}),
    ...(search.refused === 'used' || search.refused === 'failed'
      ? { refused: search.refused }
      : {}),
  }),
  // Of no use to whoever is signed in.
  component: lazyRouteComponent(() => import('./people/sign-in-page.tsx'), 'SignInPage'),
})

const choosePassword = createRoute({
  getParentRoute: () => root,
  path: '/choose-password',
  validateSearch: (search: Record<string, unknown>): { readonly user?: string } =>
    typeof search.user === 'string' ? { user: search.user } : {},
  beforeLoad: ({ context }) => ({ linkToken: context.takeToken() }),
  component: lazyRouteComponent(
    () => import('./people/choose-password-page.tsx'),
    'ChoosePasswordPage',
  ),
})

/** Everything that needs a session. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'in',
  beforeLoad: async ({ context, location }) => {
    const token = context.takeToken()
    let refused: SignInSearch['refused']
    if (token !== undefined) {
      try {
        context.queryClient.setQueryData(
          sessionQuery.queryKey,
          await call('signIn', { body: { token } }),
        )
      } catch (error) {
        refused = isRefused(error) ? 'used' : 'failed'
      }
    }
    try {
      await context.queryClient.ensureQueryData(sessionQuery)
    } catch (error) {
      if (error instanceof CallFailed && !isSignedOut(error) && refused === undefined) throw error
      const to = location.href === '/' ? {} : { to: location.href }
      throw redirect({
        to: '/sign-in',
        search: { ...to, ...(refused ? { refused } : {}) },
        replace: true,
      })
    }
  },
  component: function Inside() {
    const { onSignedOut } = inside.useRouteContext()
    return <Shell onSignedOut={onSignedOut} />
  },
  errorComponent: ({ error, reset }) => (
    <main>
      <h1 className="hidden-visually">Edgeloop</h1>
      <Failed error={error} onRetry={reset} />
    </main>
  ),
})

const home = createRoute({ getParentRoute: () => inside, path: '/', component: HomePage })

const devices = createRoute({
  getParentRoute: () => inside,
  path: '/devices',
  validateSearch: (search): FleetView => readFleetView(search),
  component: lazyRouteComponent(() => import('./devices/fleet-page.tsx'), 'FleetPage'),
})

const addDevice = createRoute({
  getParentRoute: () => inside,
  // Not below /devices, where it would be the place of a device of that name.
  path: '/add-device',
  component: lazyRouteComponent(() => import('./devices/add-device-page.tsx'), 'AddDevicePage'),
})

const device = createRoute({
  getParentRoute: () => inside,
  path: '/devices/$deviceId',
  component: lazyRouteComponent(() => import('./devices/device-page.tsx'), 'DevicePage'),
})

const overview = createRoute({
  getParentRoute: () => device,
  path: '/',
  component: lazyRouteComponent(() => import('./devices/device-overview.tsx'), 'DeviceOverview'),
})

const metrics = createRoute({
  getParentRoute: () => device,
  path: '/metrics',
  validateSearch: (search: Record<string, unknown>): { readonly range?: Range } => {
    const range = rangeNames.find((each) => each === search.range)
    return range && range !== '15m' ? { range } : {}
  },
  component: lazyRouteComponent(() => import('./devices/device-metrics.tsx'), 'DeviceMetrics'),
})

const config = createRoute({
  getParentRoute: () => device,
  path: '/config',
  validateSearch: (search: Record<string, unknown>): { readonly version?: number } => {
    const { version } = search
    return Number.isSafeInteger(version) && Number(version) > 0 ? { version: Number(version) } : {}
  },
  component: lazyRouteComponent(() => import('./devices/device-config.tsx'), 'DeviceConfig'),
})

const history = createRoute({
  getParentRoute: () => device,
  path: '/history',
  component: lazyRouteComponent(() => import('./devices/device-history.tsx'), 'DeviceHistory'),
})

const deviceModels = createRoute({
  getParentRoute: () => device,
  path: '/models',
  component: lazyRouteComponent(() => import('./devices/device-models.tsx'), 'DeviceModels'),
})

type LogSearch = { readonly level?: LogLevel; readonly q?: string; readonly follow?: true }

const logs = createRoute({
  getParentRoute: () => device,
  path: '/logs',
  validateSearch: (search: Record<string, unknown>): LogSearch => {
    const level = logLevels.find((each) => each === search.level)
    return {
      ...(level && level !== 'debug' ? { level } : {}),
      ...(typeof search.q === 'string' && search.q !== '' ? { q: search.q } : {}),
      ...(search.follow === true ? { follow: true } : {}),
    }
  },
  component: lazyRouteComponent(() => import('./devices/device-log-tab.tsx'), 'DeviceLogTab'),
})

const live = createRoute({
  getParentRoute: () => inside,
  path: '/live',
  validateSearch: (search): WallView => readWallView(search),
  component: lazyRouteComponent(() => import('./live/wall-page.tsx'), 'WallPage'),
})

const streamSettings = createRoute({
  getParentRoute: () => device,
  path: '/streams/$streamId',
  component: lazyRouteComponent(() => import('./streams/stream-settings.tsx'), 'StreamSettings'),
})

const people = createRoute({
  getParentRoute: () => inside,
  path: '/people',
  validateSearch: (search: Record<string, unknown>): { readonly user?: string } =>
    typeof search.user === 'string' ? { user: search.user } : {},
  component: lazyRouteComponent(() => import('./people/people-page.tsx'), 'PeoplePage'),
})

const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('./people/account-page.tsx'), 'AccountPage'),
})

const audit = createRoute({
  getParentRoute: () => inside,
  path: '/audit',
  validateSearch: (search): AuditFilter => readAuditFilter(search),
  component: lazyRouteComponent(() => import('./audit/audit-page.tsx'), 'AuditPage'),
})

const models = createRoute({
  getParentRoute: () => inside,
  path: '/models',
  component: lazyRouteComponent(() => import('./models/models-page.tsx'), 'ModelsPage'),
})

const model = createRoute({
  getParentRoute: () => inside,
  path: '/models/$name/$version',
  component: lazyRouteComponent(() => import('./models/model-page.tsx'), 'ModelPage'),
})

const datasets = createRoute({
  getParentRoute: () => inside,
  path: '/datasets',
  component: lazyRouteComponent(() => import('./datasets/datasets-page.tsx'), 'DatasetsPage'),
})

const dataset = createRoute({
  getParentRoute: () => inside,
  path: '/datasets/$dataset',
  component: lazyRouteComponent(() => import('./datasets/dataset-page.tsx'), 'DatasetPage'),
})

type FieldSearch = FieldFilter & {
  /** The opened sample takes the place of the list. */
  readonly sample?: number
  /** What the box found is drawn on the small pictures. */
  readonly found?: true
}

const fieldSamples = createRoute({
  getParentRoute: () => inside,
  path: '/samples',
  validateSearch: (search): FieldSearch => {
    const sample = stepIn(search.sample)
    return {
      ...readFieldFilter(search),
      ...(sample === undefined || sample === 0 ? {} : { sample }),
      ...(search.found === true ? { found: true } : {}),
    }
  },
  component: lazyRouteComponent(() => import('./samples/samples-page.tsx'), 'SamplesPage'),
})

type SamplesSearch = SampleFilter & {
  /** The opened sample takes the place of the list. */
  readonly sample?: string
}

const datasetSamples = createRoute({
  getParentRoute: () => dataset,
  path: '/',
  validateSearch: (search): SamplesSearch => ({
    ...readSampleFilter(search),
    ...(typeof search.sample === 'string' && /^[0-9a-f]{64}$/.test(search.sample)
      ? { sample: search.sample }
      : {}),
  }),
  component: lazyRouteComponent(() => import('./datasets/samples-tab.tsx'), 'SamplesTab'),
})

const datasetLabels = createRoute({
  getParentRoute: () => dataset,
  path: '/labels',
  component: lazyRouteComponent(() => import('./datasets/labels-tab.tsx'), 'LabelsTab'),
})

const datasetProblems = createRoute({
  getParentRoute: () => dataset,
  path: '/problems',
  component: lazyRouteComponent(() => import('./datasets/problems-tab.tsx'), 'ProblemsTab'),
})

const datasetVersions = createRoute({
  getParentRoute: () => dataset,
  path: '/versions',
  component: lazyRouteComponent(() => import('./datasets/versions-tab.tsx'), 'VersionsTab'),
})

const datasetAugmentation = createRoute({
  getParentRoute: () => dataset,
  path: '/augmentation',
  validateSearch: (
    search: Record<string, unknown>,
  ): { readonly seed?: number; readonly augment?: string } => {
    const seed = stepIn(search.seed)
    const { augment } = search
    return {
      ...(seed === undefined || seed >= 2 ** 31 ? {} : { seed }),
      ...(typeof augment === 'string' && augment.length <= 1500 ? { augment } : {}),
    }
  },
  component: lazyRouteComponent(() => import('./datasets/augmentation-tab.tsx'), 'AugmentationTab'),
})

const queues = createRoute({
  getParentRoute: () => inside,
  path: '/label',
  component: lazyRouteComponent(() => import('./labelling/queues-page.tsx'), 'QueuesPage'),
})

const queue = createRoute({
  getParentRoute: () => inside,
  path: '/label/$queue',
  validateSearch: (search: Record<string, unknown>): { readonly state?: TaskState } => {
    const state = taskStates.find((one) => one === search.state)
    return state && state !== 'open' ? { state } : {}
  },
  component: lazyRouteComponent(() => import('./labelling/queue-page.tsx'), 'QueuePage'),
})

type LabelSearch = {
  /** Somebody else's answers are looked at. */
  readonly review?: true
  /** One camera after the other; by use where left out. */
  readonly order?: 'camera'
  /** Shown before the others. */
  readonly task?: number
}

const label = createRoute({
  getParentRoute: () => inside,
  path: '/label/$queue/work',
  // Full screen: every key and every pixel is the picture's.
  staticData: { bare: true },
  validateSearch: (search: Record<string, unknown>): LabelSearch => {
    const task = stepIn(search.task)
    return {
      ...(search.review === true ? { review: true } : {}),
      ...(search.order === 'camera' ? { order: 'camera' } : {}),
      ...(task === undefined || task === 0 ? {} : { task }),
    }
  },
  component: lazyRouteComponent(() => import('./labelling/label-page.tsx'), 'LabelPage'),
})

type RunsSearch = {
  /** Runs whose curves are shown. */
  readonly show?: readonly string[]
}

const runs = createRoute({
  getParentRoute: () => inside,
  path: '/runs',
  validateSearch: (search: Record<string, unknown>): RunsSearch => {
    const show = runIdsIn(search.show)
    return show.length > 0 ? { show } : {}
  },
  component: lazyRouteComponent(() => import('./runs/runs-page.tsx'), 'RunsPage'),
})

const compareRuns = createRoute({
  getParentRoute: () => inside,
  path: '/runs/compare',
  validateSearch: (
    search: Record<string, unknown>,
  ): { readonly ids?: readonly string[]; readonly all?: true } => {
    const ids = runIdsIn(search.ids)
    return { ...(ids.length > 0 ? { ids } : {}), ...(search.all === true ? { all: true } : {}) }
  },
  component: lazyRouteComponent(() => import('./runs/compare-page.tsx'), 'ComparePage'),
})

const run = createRoute({
  getParentRoute: () => inside,
  path: '/runs/$runId',
  validateSearch: (search: Record<string, unknown>): StepRange => {
    const [first, last] = [stepIn(search.first), stepIn(search.last)]
    return {
      ...(first === undefined ? {} : { first }),
      ...(last === undefined || last <= (first ?? 0) ? {} : { last }),
    }
  },
  component: lazyRouteComponent(() => import('./runs/run-page.tsx'), 'RunPage'),
})

const search = createRoute({
  getParentRoute: () => inside,
  path: '/searches/$searchId',
  component: lazyRouteComponent(() => import('./runs/search-page.tsx'), 'SearchPage'),
})

const runIdsIn = (given: unknown): string[] =>
  Array.isArray(given)
    ? given.filter((one) => typeof one === 'string' && /^[0-9a-f-]{36}$/.test(one)).slice(0, 8)
    : []

const stepIn = (given: unknown): number | undefined =>
  typeof given === 'number' && Number.isSafeInteger(given) && given >= 0 ? given : undefined

const rollouts = createRoute({
  getParentRoute: () => inside,
  path: '/rollouts',
  validateSearch: (search: Record<string, unknown>): { readonly state?: RolloutState } => {
    const state = rolloutStates.find((one) => one === search.state)
    return state ? { state } : {}
  },
  component: lazyRouteComponent(() => import('./rollouts/rollouts-page.tsx'), 'RolloutsPage'),
})

const newRollout = createRoute({
  getParentRoute: () => inside,
  path: '/rollouts/new',
  validateSearch: (search): Draft => readDraft(search),
  component: lazyRouteComponent(() => import('./rollouts/new-rollout-page.tsx'), 'NewRolloutPage'),
})

const rollout = createRoute({
  getParentRoute: () => inside,
  path: '/rollouts/$rolloutId',
  validateSearch: (search: Record<string, unknown>): BoxFilter => {
    const stage = stepIn(search.stage)
    const state = boxStates.find((one) => one === search.state)
    return {
      ...(stage === undefined || stage > 19 ? {} : { stage }),
      ...(state ? { state } : {}),
      ...(typeof search.search === 'string' && search.search !== ''
        ? { search: search.search.slice(0, 100) }
        : {}),
    }
  },
  component: lazyRouteComponent(() => import('./rollouts/rollout-page.tsx'), 'RolloutPage'),
})

const rules = createRoute({
  getParentRoute: () => inside,
  path: '/rules',
  validateSearch: (search: Record<string, unknown>): DeliveryFilter => {
    const state = deliveryStates.find((one) => one === search.state)
    const name = (key: 'rule' | 'receiver') => {
      // The address says 12 for a rule that is called so.
      const value = typeof search[key] === 'number' ? String(search[key]) : search[key]
      return typeof value === 'string' && /^[a-z0-9_-]{1,63}$/.test(value) ? { [key]: value } : {}
    }
    return { ...name('rule'), ...name('receiver'), ...(state ? { state } : {}) }
  },
  component: lazyRouteComponent(() => import('./rules/rules-page.tsx'), 'RulesPage'),
})

const pipelines = createRoute({
  getParentRoute: () => inside,
  path: '/pipelines',
  component: lazyRouteComponent(() => import('./pipelines/pipelines-page.tsx'), 'PipelinesPage'),
})

/** Of a pipeline that is there already, where a model is named. */
const newPipeline = createRoute({
  getParentRoute: () => inside,
  path: '/pipelines/new',
  validateSearch: (search: Record<string, unknown>): { readonly model?: string } =>
    typeof search.model === 'string' && search.model !== ''
      ? { model: search.model.slice(0, 63) }
      : {},
  component: lazyRouteComponent(
    () => import('./pipelines/pipeline-form-page.tsx'),
    'PipelineFormPage',
  ),
})

const pipeline = createRoute({
  getParentRoute: () => inside,
  path: '/pipelines/$model',
  validateSearch: (search: Record<string, unknown>): { readonly round?: number } => {
    const round = stepIn(search.round)
    return round === undefined ? {} : { round }
  },
  component: lazyRouteComponent(() => import('./pipelines/pipeline-page.tsx'), 'PipelinePage'),
})

const drift = createRoute({
  getParentRoute: () => inside,
  path: '/drift',
  component: lazyRouteComponent(() => import('./drift/drift-page.tsx'), 'DriftPage'),
})

const driftStream = createRoute({
  getParentRoute: () => inside,
  path: '/drift/$deviceId/$streamId',
  validateSearch: (search: Record<string, unknown>): { readonly hours?: number } =>
    search.hours === 3 || search.hours === 168 ? { hours: search.hours } : {},
  component: lazyRouteComponent(() => import('./drift/drift-stream-page.tsx'), 'DriftStreamPage'),
})

type EventsSearch = EventFilter & {
  /** How much the timeline shows. */
  readonly span?: Span
  readonly follow?: true
  /** An opened event takes the place of the list. */
  readonly large?: true
}

const events = createRoute({
  getParentRoute: () => inside,
  path: '/events',
  validateSearch: (search): EventsSearch => {
    const span = spanNames.find((each) => each === search.span)
    return {
      ...readEventFilter(search),
      ...(span && span !== standardSpan ? { span } : {}),
      ...(search.follow === true ? { follow: true } : {}),
      ...(search.large === true ? { large: true } : {}),
    }
  },
  component: lazyRouteComponent(() => import('./events/events-page.tsx'), 'EventsPage'),
})

const event = createRoute({
  getParentRoute: () => events,
  path: '/$eventId',
  component: lazyRouteComponent(() => import('./events/event-panel.tsx'), 'EventPanel'),
})

const tree = root.addChildren([
  signIn,
  choosePassword,
  inside.addChildren([
    home,
    devices,
    addDevice,
    live,
    device.addChildren([
      ...[overview, metrics, config, deviceModels],
      ...[history, logs, streamSettings],
    ]),
    events.addChildren([event]),
    fieldSamples,
    datasets,
    dataset.addChildren([
      ...[datasetSamples, datasetLabels, datasetProblems],
      ...[datasetVersions, datasetAugmentation],
    ]),
    ...[queues, queue, label],
    models,
    model,
    runs,
    compareRuns,
    run,
    search,
    rollouts,
    newRollout,
    rollout,
    rules,
    pipelines,
    newPipeline,
    pipeline,
    drift,
    driftStream,
    people,
    account,
    audit,
  ]),
])

export function makeRouter(context: RouterContext) {
  return createRouter({
    routeTree: tree,
    context,
    defaultPreload: 'intent',
    defaultPendingMs: 300,
    scrollRestoration: true,
    defaultNotFoundComponent: NotFound,
    defaultErrorComponent: ({ error, reset }) => <Failed error={error} onRetry={reset} />,
  })
}

/**
 * Fetches every place that is still missing: somebody who looks at a hub that goes away can still go from
 * page to page, and a hub that was replaced does not leave old pages without their parts. Never throws.
 */
export async function preloadPlaces(router: ReturnType<typeof makeRouter>): Promise<void> {
  for (const { options } of Object.values(router.routesById)) {
    const component: unknown = options.component
    if (typeof component !== 'function' || !('preload' in component)) continue
    // One after the other, behind whatever the page itself asks for.
    if (typeof component.preload === 'function') await component.preload()?.catch?.(() => {})
  }
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>
  }
  interface StaticDataRouteOption {
    /** Shown without the shell's bar and navigation. */
    bare?: true
  }
}
