/** A report for tests: every kind of candidate, numbers that are odd, and names that bite. */
import type { CandidateResult, CompileReport } from '../compile/compile-report.ts'

const candidate = (
  name: CandidateResult['name'],
  given: Partial<CandidateResult> = {},
): CandidateResult => ({
  name,
  about: 'made of <b>nothing</b>',
  sizeBytes: 3_800_000,
  latencyRatio: 1,
  latencyMs: 12.3,
  ap50: 0.44,
  sqnrDb: null,
  metrics: { ap50: 0.44, ap50to95: 0.28 },
  drop: 0,
  verdict: 'passed',
  why: 'slower than int8',
  ...given,
})

export const exampleReport: CompileReport = {
  chosen: 'int8',
  why: 'the fastest of 3 that are right enough',
  metric: 'ap50',
  maxDrop: 0.01,
  precision: 'auto',
  target: 'linux-x64-vnni',
  candidates: [
    candidate('original'),
    candidate('fp32', { latencyRatio: 1.1, sqnrDb: 120.5 }),
    candidate('fp16', {
      sizeBytes: null,
      latencyRatio: null,
      latencyMs: null,
      ap50: null,
      metrics: {},
      drop: null,
      verdict: 'refused',
      why: 'fails: <script>alert(1)</script>',
    }),
    candidate('int8-weights', { sizeBytes: 1_040_000, latencyRatio: 1.09, sqnrDb: 31 }),
    candidate('int8', {
      sizeBytes: 1_100_000,
      latencyRatio: 1.61,
      sqnrDb: 24.4,
      verdict: 'chosen',
      metrics: { ap50: 0.436, ap50to95: 0.275 },
      drop: 0.004,
      why: 'the fastest',
    }),
  ],
  unfused: [
    { node: 'Conv_1 "x" & <y>', opType: 'Conv', why: 'its input is float', onPurpose: false },
  ],
  fusionChecked: true,
  source: { name: '<img src=x onerror=alert(1)>.onnx', digest: 'ab'.repeat(32), sizeBytes: 1 },
  machine: { cpu: 'Some CPU', threads: 1 },
  calibrationSamples: 20,
  passes: [
    { pass: 'fold-batch-norm', round: 1, changes: 35 },
    { pass: 'fold-batch-norm', round: 2, changes: 1 },
  ],
  kept: [{ value: 'loud <one>', gainDb: 3.1, costMs: 0.2 }],
  tensors: Array.from({ length: 200 }, (_, at) => ({
    name: `value "${at}" <${'long_'.repeat(at % 20)}>`,
    min: -(2 ** (at % 9)),
    max: at === 7 ? 0 : 3 ** (at % 6),
    sqnrDb: at % 50 === 3 ? null : at === 9 ? 200 : 12 + ((at * 37) % 40),
  })),
  operators: {
    before: [
      { opType: 'Conv', count: 70, ms: 9.1 },
      { opType: 'Clip', count: 30, ms: 1.2 },
    ],
    after: [
      { opType: 'QLinearConv', count: 70, ms: 5.6 },
      { opType: 'QuantizeLinear', count: 1, ms: 0 },
    ],
  },
}
