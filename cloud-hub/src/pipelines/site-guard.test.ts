/** Which versions are good enough, and for whom. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ComparedModel, pipelineDefaults, type RunComparison } from '@edgeloop/protocol'
import { behindAfter } from './keeper.ts'
import { judgeVersion } from './site-guard.ts'

type Values = Readonly<Record<string, readonly [value: number, samples: number]>>

/** @param half of the 95 % interval of each site */
const model = (value: number, sites: Values, half = 0.04): ComparedModel => ({
  value,
  groups: Object.entries(sites).flatMap(([name, [share, samples]]) => {
    const facts = {
      samples,
      value: share,
      interval: [share - half, share + half] as [number, number],
    }
    return [
      { by: 'site' as const, name, ...facts },
      { by: 'stream' as const, name: `${name}-cam`, ...facts },
    ]
  }),
})
const comparison = (
  trained: ComparedModel,
  others: readonly (readonly [number, boolean, ComparedModel | null])[],
  more: Partial<RunComparison> = {},
): RunComparison => ({
  metric: 'ap50',
  better: 'more',
  trained,
  others: others.map(([version, champion, one]) => ({
    version,
    champion,
    model: one,
    problem: one ? '' : 'it has other labels',
  })),
  ...more,
})
const { gate } = pipelineDefaults

test('a site where the version is worse keeps what it has; it ships to the others', () => {
  const before = model(0.8, { mill: [0.8, 60], yard: [0.8, 60], quay: [0.9, 4] })
  const after = model(0.85, { mill: [0.95, 60], yard: [0.6, 60], quay: [0.1, 4] })
  const { pass, why, key, sites } = judgeVersion(
    ...[comparison(after, [[3, true, before]]), gate, {}, ['mill', 'yard', 'quay', 'pier']],
  )
  assert.equal(pass, true)
  assert.deepEqual(key, { name: 'ap50', before: 0.8, after: 0.85 })
  const said = Object.fromEntries(
    sites.filter(({ by }) => by === 'site').map((one) => [one.name, [one.verdict, one.ships]]),
  )
  assert.deepEqual(said, {
    mill: ['better', true],
    pier: ['unknown', true],
    quay: ['unknown', true],
    yard: ['worse', false],
  })
  assert.match(why, /"yard" keeps what is there; worse on 1 of the streams: "yard-cam"$/)
  assert.match(
    sites.find(({ name }) => name === 'quay')?.why ?? '',
    /^site "quay": 4 test samples, 10 are needed to tell$/,
  )
})

test('what chance explains is no loss; a wider interval explains more', () => {
  const verdict = (after: number, half: number, siteDropMax = 0.02) => {
    const [was, is] = [
      model(0.8, { mill: [0.8, 50] }, half),
      model(0.8, { mill: [after, 50] }, half),
    ]
    const given = comparison(is, [[1, true, was]])
    return judgeVersion(given, { ...gate, siteDropMax }, {}, []).sites[0]?.verdict
  }
  assert.deepEqual([verdict(0.7, 0.12), verdict(0.7, 0.04)], ['same', 'worse'])
  assert.deepEqual([verdict(0.7, 0.04, 0.1), verdict(0.79, 0.001)], ['same', 'same'])
  // All right of twelve is not certainty.
  const sure = { ...model(1, { mill: [1, 12] }, 0) }
  const less = model(0.95, { mill: [0.92, 12] }, 0)
  assert.equal(
    judgeVersion(comparison(less, [[1, true, sure]]), { ...gate, gainMin: -1 }, {}, []).sites[0]
      ?.verdict,
    'same',
  )
})

test('a site that was left behind is compared with what it runs, not with the champion', () => {
  const third = model(0.8, { mill: [0.8, 60], yard: [0.9, 60] })
  const fourth = model(0.85, { mill: [0.9, 60], yard: [0.5, 60] })
  const fifth = model(0.9, { mill: [0.95, 60], yard: [0.7, 60] })
  const given = comparison(fifth, [
    [4, true, fourth],
    [3, false, third],
  ])
  const yard = (behind: Record<string, number | null>) =>
    judgeVersion(given, gate, behind, ['mill', 'yard']).sites.find(({ name }) => name === 'yard')
  assert.deepEqual([yard({})?.verdict, yard({})?.against], ['better', 4])
  assert.deepEqual([yard({ yard: 3 })?.verdict, yard({ yard: 3 })?.against], ['worse', 3])
  // It stays behind with the version that it has, until one is as good there.
  const { sites } = judgeVersion(given, gate, { yard: 3 }, ['mill', 'yard'])
  const after = behindAfter({ sitesBehind: { yard: 3 } }, { sites, championBefore: 4 })
  assert.deepEqual(after, { yard: 3 })
  const good = judgeVersion(comparison(third, [[3, true, third]]), gate, { yard: 3 }, ['yard'])
  assert.deepEqual(behindAfter({ sitesBehind: { yard: 3 } }, { ...good, championBefore: 3 }), {})
})

test('a version that is worse over all, cannot be compared, or would be worse everywhere is refused', () => {
  const was = model(0.8, { mill: [0.8, 60] })
  const refusal = (given: RunComparison | undefined, more: Partial<typeof gate> = {}) => {
    const { pass, why } = judgeVersion(given, { ...gate, ...more } as typeof gate, {}, ['mill'])
    return pass ? undefined : why
  }
  const of = (value: number, site = value) =>
    comparison(model(value, { mill: [site, 60] }), [[1, true, was]])
  assert.match(
    refusal(of(0.79)) ?? '',
    /^Not good enough: ap50 0.7900 .* \(version 1\) 0.8000; no worse is asked$/,
  )
  assert.match(refusal(of(0.82), { gainMin: 0.05 as 0 }) ?? '', /at least 0.0500 better is asked/)
  assert.equal(refusal(of(0.8)), undefined)
  assert.match(refusal(of(0.81, 0.3)) ?? '', /every site with devices would get worse: site "mill"/)
  assert.match(refusal(undefined) ?? '', /no test samples/)
  const strange = comparison(was, [[1, true, null]])
  assert.match(refusal(strange) ?? '', /version 1\) cannot be compared .* it has other labels/)
  // The first of its name has nothing to be worse than.
  assert.equal(refusal(comparison(was, [])), undefined)
  // Of errors less is better.
  const error = (value: number) =>
    comparison(model(value, {}), [[1, true, model(2, {})]], { metric: 'rmse', better: 'less' })
  assert.equal(refusal(error(1.9)), undefined)
  assert.match(refusal(error(2.1)) ?? '', /^Not good enough/)
})
