/** Routes of training runs and of what begins them. */
import { Type } from 'typebox'
import { ModelName } from './models.ts'
import type { Route } from './route.ts'
import {
  curvePointsMax,
  Run,
  RunCurves,
  RunDetail,
  RunId,
  RunRequest,
  runFileKinds,
  runStates,
  ScheduleRequest,
  TrainerShown,
  TrainingSchedule,
} from './runs.ts'
import { Search, SearchDetail, SearchId, SearchRequest } from './searches.ts'

const closed = { additionalProperties: false } as const

const run = Type.Object({ runId: RunId }, closed)
const search = Type.Object({ searchId: SearchId }, closed)

export const runRoutes = {
  trainerShow: {
    method: 'GET',
    path: '/api/trainer',
    access: 'viewer',
    summary: "Says what this hub's trainer builds, and the recipe where nothing else is said",
    response: TrainerShown,
  },
  runList: {
    method: 'GET',
    path: '/api/runs',
    access: 'viewer',
    summary: 'Lists the newest 500 runs, newest first',
    query: Type.Object(
      {
        state: Type.Optional(Type.Enum(runStates)),
        model: Type.Optional(ModelName),
        dataset: Type.Optional(ModelName),
      },
      closed,
    ),
    response: Type.Array(Run),
  },
  runAdd: {
    method: 'POST',
    path: '/api/runs',
    access: 'operator',
    summary: 'Asks for training on a frozen dataset; the result becomes a model version',
    body: RunRequest,
    response: Run,
    status: 201,
  },
  runShow: {
    method: 'GET',
    path: '/api/runs/:runId',
    access: 'viewer',
    summary: 'Shows one run with its evaluations, its log and its files',
    params: run,
    response: RunDetail,
  },
  runRemove: {
    method: 'DELETE',
    path: '/api/runs/:runId',
    access: 'admin',
    summary: 'Removes a run that is over with its files; the model version that it made stays',
    params: run,
    status: 204,
  },
  runCurves: {
    method: 'GET',
    path: '/api/runs/:runId/curves',
    access: 'viewer',
    summary:
      'Gives the curves of a run; where there are too many points, the least and the greatest of each stretch',
    params: run,
    query: Type.Object(
      {
        from: Type.Optional(Type.Integer({ minimum: 0 })),
        to: Type.Optional(Type.Integer({ minimum: 0 })),
        points: Type.Optional(Type.Integer({ minimum: 2, maximum: curvePointsMax })),
      },
      closed,
    ),
    response: RunCurves,
  },
  runFile: {
    method: 'GET',
    path: '/api/runs/:runId/files/:kind',
    access: 'viewer',
    summary: 'Gives a file of a run: the model, the report as JSON, the card',
    params: Type.Object({ runId: RunId, kind: Type.Enum(runFileKinds) }, closed),
    produces: 'application/octet-stream',
  },
  runReport: {
    method: 'GET',
    path: '/api/runs/:runId/report',
    access: 'viewer',
    summary: 'Gives the report of a run as a page without scripts',
    params: run,
    produces: 'text/html; charset=utf-8',
  },
  runPause: {
    method: 'POST',
    path: '/api/runs/:runId/pause',
    access: 'operator',
    summary: 'Asks a run to end at a checkpoint from which it can go on',
    params: run,
    response: Run,
  },
  runResume: {
    method: 'POST',
    path: '/api/runs/:runId/resume',
    access: 'operator',
    summary: 'Lets a run go on that is paused, has failed or was cancelled',
    params: run,
    response: Run,
  },
  runCancel: {
    method: 'POST',
    path: '/api/runs/:runId/cancel',
    access: 'operator',
    summary: 'Asks a run to end; one that waits ends at once',
    params: run,
    response: Run,
  },
  searchList: {
    method: 'GET',
    path: '/api/searches',
    access: 'viewer',
    summary: 'Lists searches over recipes, newest first',
    response: Type.Array(Search),
  },
  searchAdd: {
    method: 'POST',
    path: '/api/searches',
    access: 'operator',
    summary: 'Asks for runs with other values of a recipe; the best becomes a model version',
    body: SearchRequest,
    response: Search,
    status: 201,
  },
  searchShow: {
    method: 'GET',
    path: '/api/searches/:searchId',
    access: 'viewer',
    summary: 'Shows one search with its trials, best first',
    params: search,
    response: SearchDetail,
  },
  searchCancel: {
    method: 'POST',
    path: '/api/searches/:searchId/cancel',
    access: 'operator',
    summary: 'Ends a search with the trial that runs; those that ended stay',
    params: search,
    response: Search,
  },
  searchRemove: {
    method: 'DELETE',
    path: '/api/searches/:searchId',
    access: 'admin',
    summary: 'Removes a search that is over with its runs; the model version that it made stays',
    params: search,
    status: 204,
  },
  trainingScheduleList: {
    method: 'GET',
    path: '/api/training-schedules',
    access: 'viewer',
    summary: 'Lists what begins runs by itself, and when it is due next',
    response: Type.Array(TrainingSchedule),
  },
  trainingSchedulePut: {
    method: 'PUT',
    path: '/api/training-schedules/:name',
    access: 'operator',
    summary: 'Sets a schedule: when, and what run it begins',
    params: Type.Object({ name: ModelName }, closed),
    body: ScheduleRequest,
    response: TrainingSchedule,
  },
  trainingScheduleRemove: {
    method: 'DELETE',
    path: '/api/training-schedules/:name',
    access: 'operator',
    summary: 'Removes a schedule; its runs stay',
    params: Type.Object({ name: ModelName }, closed),
    status: 204,
  },
} as const satisfies Record<string, Route>
