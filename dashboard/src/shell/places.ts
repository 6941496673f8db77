/**
 * Where one can go, in the groups in which people think of it: what happens now, the boxes, what models learn
 * from, who may do what. The navigation, the palette and the keys all follow from this table.
 */
import type { KeyAction } from './keys.ts'

export const groups = [
  {
    word: 'Home',
    places: [{ to: '/', word: 'Home', go: 'goHome' }],
  },
  {
    word: 'Watch',
    places: [
      { to: '/live', word: 'Live', go: 'goLive' },
      { to: '/events', word: 'Events', go: 'goEvents' },
      { to: '/drift', word: 'Drift', go: 'goDrift' },
      { to: '/rules', word: 'Rules', go: 'goRules' },
    ],
  },
  {
    word: 'Fleet',
    places: [
      { to: '/devices', word: 'Devices', go: 'goDevices' },
      { to: '/rollouts', word: 'Rollouts', go: 'goRollouts' },
    ],
  },
  {
    word: 'Learn',
    places: [
      { to: '/samples', word: 'Samples', go: 'goSamples' },
      { to: '/label', word: 'Label', go: 'goLabel' },
      { to: '/datasets', word: 'Datasets', go: 'goDatasets' },
      { to: '/runs', word: 'Runs', go: 'goRuns' },
      { to: '/models', word: 'Models', go: 'goModels' },
      { to: '/pipelines', word: 'Pipelines', go: 'goPipelines' },
    ],
  },
  {
    word: 'Admin',
    /** Answers only to admins. */
    admin: true,
    places: [
      { to: '/people', word: 'People', go: 'goPeople' },
      { to: '/audit', word: 'Audit', go: 'goAudit' },
    ],
  },
] as const satisfies readonly {
  readonly word: string
  readonly admin?: true
  readonly places: readonly { to: string; word: string; go: KeyAction }[]
}[]

export type Group = (typeof groups)[number]

/** The groups that answer to somebody. */
export const groupsFor = (isAdmin: boolean): readonly Group[] =>
  groups.filter((group) => isAdmin || !('admin' in group))
