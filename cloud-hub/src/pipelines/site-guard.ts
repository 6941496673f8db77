/**
 * Whether a version is good enough, over all and at each site: by the figure that decides, on the same test samples. A
 * site is compared with what it runs, which is an older version where a newer one was worse there before. Pure.
 */
import type {
  ComparedGroup,
  ComparedModel,
  PipelineGate,
  PipelineRound,
  RunComparison,
  SiteVerdict,
} from '@edgeloop/protocol'

/** Half of a 95 % interval is so many standard errors. */
const normal95 = 1.96

export type GateVerdict = {
  readonly pass: boolean
  readonly why: string
  readonly key: PipelineRound['key']
  readonly sites: readonly SiteVerdict[]
}

/**
 * @param behind sites that kept an older version, and which; null for one that has nothing that is known here
 * @param inField sites with devices that the version is meant for
 */
export function judgeVersion(
  comparison: RunComparison | undefined,
  gate: PipelineGate,
  behind: Readonly<Record<string, number | null>>,
  inField: readonly string[],
): GateVerdict {
  const refused = (why: string, key: PipelineRound['key'] = null): GateVerdict => ({
    pass: false,
    why,
    key,
    sites: [],
  })
  if (!comparison) return refused('There are no test samples to compare it on')
  const { metric, better, trained, others } = comparison
  const champion = others.find((one) => one.champion)
  const key = { name: metric, before: champion?.model?.value ?? null, after: trained.value }
  const after = `${metric} ${say(trained.value)}`
  if (champion && !champion.model) {
    return refused(
      `The champion (version ${champion.version}) cannot be compared on these samples: ${champion.problem}`,
      key,
    )
  }
  const ahead = champion?.model ? gainOf(better, champion.model.value, trained.value) : undefined
  const overall = champion?.model
    ? `${after} on the test samples, the champion (version ${champion.version}) ${say(champion.model.value)}`
    : `${after} on the test samples, and there is no champion yet`
  if (ahead !== undefined && ahead < gate.gainMin - 1e-9) {
    const wanted = gate.gainMin > 0 ? `at least ${say(gate.gainMin)} better` : 'no worse'
    return refused(`Not good enough: ${overall}; ${wanted} is asked`, key)
  }
  const judged = { better, trained, gate }
  const sites = [
    ...namesOf('site', trained, inField).map((name) => {
      const version = name in behind ? behind[name] : champion?.version
      const rival = others.find((one) => one.version === version)
      return verdictOf('site', name, rival, judged)
    }),
    ...namesOf('stream', trained, []).map((name) => verdictOf('stream', name, champion, judged)),
  ]
  const kept = sites.filter(({ by, ships }) => by === 'site' && !ships)
  const meant = inField.filter((site) => !kept.some(({ name }) => name === site))
  if (inField.length > 0 && meant.length === 0) {
    const why = `${overall}; but every site with devices would get worse: ${kept.map(({ why }) => why).join('; ')}`
    return { pass: false, why, key, sites }
  }
  const worse = sites.filter(({ by, verdict }) => by === 'stream' && verdict === 'worse')
  const parts = [
    overall,
    ...(kept.length > 0
      ? [`${listed(kept)} ${kept.length === 1 ? 'keeps' : 'keep'} what is there`]
      : []),
    ...(worse.length > 0 ? [`worse on ${worse.length} of the streams: ${listed(worse)}`] : []),
  ]
  return { pass: true, why: parts.join('; '), key, sites }
}

const listed = (verdicts: readonly SiteVerdict[]): string =>
  verdicts.map(({ name }) => `"${name}"`).join(', ')

function namesOf(
  by: ComparedGroup['by'],
  { groups }: ComparedModel,
  more: readonly string[],
): string[] {
  const known = groups.filter((one) => one.by === by).map(({ name }) => name)
  return [...new Set([...known, ...more])].sort()
}

function verdictOf(
  by: 'site' | 'stream',
  name: string,
  rival: RunComparison['others'][number] | undefined,
  { better, trained, gate }: Pick<RunComparison, 'better' | 'trained'> & { gate: PipelineGate },
): SiteVerdict {
  const find = (model: ComparedModel | null | undefined) =>
    model?.groups.find((one) => one.by === by && one.name === name)
  const [now, before] = [find(trained), find(rival?.model)]
  const facts = {
    by,
    name,
    samples: now?.samples ?? 0,
    against: rival?.version ?? null,
    before: before?.value ?? null,
    after: now?.value ?? null,
  }
  const unknown = (why: string): SiteVerdict => ({
    ...facts,
    dropMax: null,
    verdict: 'unknown',
    ships: gate.unknownSites === 'ship',
    why,
  })
  const what = `${by} "${name}"`
  if (!now || now.samples < gate.siteSamplesMin) {
    const count = now?.samples ?? 0
    return unknown(
      `${what}: ${count} test sample${count === 1 ? '' : 's'}, ${gate.siteSamplesMin} are needed to tell`,
    )
  }
  if (!rival) return unknown(`${what}: there is nothing before it to compare with`)
  if (!before) {
    return unknown(
      `${what}: version ${rival.version} cannot be compared${rival.problem && `: ${rival.problem}`}`,
    )
  }
  const gain = gainOf(better, before.value, now.value)
  const error = Math.hypot(errorOf(before), errorOf(now))
  const dropMax = gate.siteDropMax + error
  const verdict = gain < -dropMax - 1e-9 ? 'worse' : gain > dropMax ? 'better' : 'same'
  const figures = `${say(now.value)} after ${say(before.value)} of version ${rival.version}`
  return {
    ...facts,
    dropMax,
    verdict,
    ships: verdict !== 'worse',
    why:
      verdict === 'worse'
        ? `${what}: ${figures} on ${now.samples} test samples, a drop of more than ${say(dropMax)}`
        : `${what}: ${figures} on ${now.samples} test samples`,
  }
}

/** By how much it is better; negative where it is worse. */
const gainOf = (better: 'more' | 'less', before: number, after: number): number =>
  better === 'more' ? after - before : before - after

/** Standard error, from the interval; a group without one (all alike) counts as a sample of a share. */
function errorOf({ value, samples, interval }: ComparedGroup): number {
  const drawn = interval ? (interval[1] - interval[0]) / 2 / normal95 : 0
  if (drawn > 0 || value < 0 || value > 1) return drawn
  // Draws of samples that are all right are all alike: that is no certainty (Agresti and Coull's two more of each kind).
  const smoothed = (value * samples + 2) / (samples + 4)
  return Math.sqrt((smoothed * (1 - smoothed)) / (samples + 4))
}

const say = (value: number): string => value.toFixed(4)
