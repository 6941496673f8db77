/** The agent's own figures in Prometheus' format. Names of streams are labels. */
import type { ReportedStream, StreamFigures } from '@edgeloop/protocol'
import { Counter, Gauge, Registry } from 'prom-client'

export type MetricsSources = {
  readonly version: string
  readonly streams: () => readonly ReportedStream[]
  readonly figures: () => readonly StreamFigures[]
  readonly outbox: () => { readonly entries: number; readonly bytes: number }
}

/** Figures of a stream's last interval, by the gauge that shows them. */
const streamGauges = {
  edgeloop_stream_input_fps: ['Frames decoded per second', (f) => f.inputFps],
  edgeloop_stream_analysed_fps: ['Frames analysed per second', (f) => f.analysedFps],
  edgeloop_stream_gated_frames: ['Frames the motion gate let rest', (f) => f.gated],
  edgeloop_stream_dropped_frames: ['Frames a newer one replaced', (f) => f.dropped],
  edgeloop_stream_inference_seconds: ['Inference, median', (f) => f.inferenceMs / 1000],
  edgeloop_stream_inference_p95_seconds: ['Inference, p95', (f) => f.inferenceP95Ms / 1000],
  edgeloop_stream_latency_p95_seconds: [
    'From capture to detections, p95',
    (f) => f.latencyP95Ms / 1000,
  ],
  edgeloop_stream_objects: ['Objects in view', (f) => f.objects],
} as const satisfies Record<string, readonly [string, (figures: StreamFigures) => number]>

export function openMetrics({ version, streams, figures, outbox }: MetricsSources) {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({ name: 'edgeloop_agent_info', help: 'The agent', labelNames: ['version'], registers })
    .labels({ version })
    .set(1)
  new Gauge({
    name: 'edgeloop_stream_live',
    help: '1 while the stream is live',
    labelNames: ['stream'],
    registers,
    collect() {
      this.reset()
      for (const { streamId, state } of streams()) {
        this.labels({ stream: streamId }).set(state === 'live' ? 1 : 0)
      }
    },
  })
  for (const [name, [help, figureOf]] of Object.entries(streamGauges)) {
    new Gauge({
      name,
      help: `${help}, in the last health interval`,
      labelNames: ['stream'],
      registers,
      collect() {
        this.reset()
        for (const of of figures()) this.labels({ stream: of.streamId }).set(figureOf(of))
      },
    })
  }
  new Gauge({
    name: 'edgeloop_outbox_events',
    help: 'Events that the hub has not acknowledged',
    registers,
    collect() {
      this.set(outbox().entries)
    },
  })
  new Gauge({
    name: 'edgeloop_outbox_bytes',
    help: 'Their bytes on the disk',
    registers,
    collect() {
      this.set(outbox().bytes)
    },
  })
  const inferences = new Counter({
    name: 'edgeloop_oip_inferences_total',
    help: 'Requests to infer by HTTP status',
    labelNames: ['status'],
    registers,
  })
  return { registry, inferences }
}
