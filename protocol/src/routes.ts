/**
 * Every HTTP route of the hub: path, role, and the schema of what goes in and out. The hub mounts
 * from this table, the OpenAPI document and the typed clients are made from it, and a test walks it
 * to see that each route refuses everybody without its role.
 */
import type { Static, TSchema } from 'typebox'
import { datasetRoutes } from './dataset-routes.ts'
import { driftRoutes } from './drift.ts'
import { eventRoutes } from './event-routes.ts'
import { ruleRoutes } from './event-rules.ts'
import { fleetRoutes } from './fleet-routes.ts'
import { hubRoutes } from './hub-routes.ts'
import { inferenceRoutes } from './inference.ts'
import { labelRoutes } from './labelling.ts'
import { modelRoutes } from './model-routes.ts'
import { peopleRoutes } from './people-routes.ts'
import { pipelineRoutes } from './pipelines.ts'
import { rolloutRoutes } from './rollouts.ts'
import type { Route } from './route.ts'
import { runRoutes } from './run-routes.ts'
import { fieldSampleRoutes } from './samples.ts'
import { trustRoutes } from './trust-routes.ts'

export const routes = {
  ...hubRoutes,
  ...peopleRoutes,
  ...fleetRoutes,
  ...eventRoutes,
  ...modelRoutes,
  ...trustRoutes,
  ...datasetRoutes,
  ...runRoutes,
  ...rolloutRoutes,
  ...labelRoutes,
  ...fieldSampleRoutes,
  ...ruleRoutes,
  ...driftRoutes,
  ...pipelineRoutes,
  ...inferenceRoutes,
} as const satisfies Record<string, Route>

export type RouteName = keyof typeof routes
export const routeNames = Object.keys(routes) as readonly RouteName[]

type Part<R, K extends string> = R extends { readonly [P in K]: infer S extends TSchema }
  ? Static<S>
  : undefined

/** What a caller gives to a route, and what it gets. */
export type RouteParams<N extends RouteName> = Part<(typeof routes)[N], 'params'>
export type RouteQuery<N extends RouteName> = Part<(typeof routes)[N], 'query'>
export type RouteBody<N extends RouteName> = Part<(typeof routes)[N], 'body'>
export type RouteReply<N extends RouteName> = Part<(typeof routes)[N], 'response'>
