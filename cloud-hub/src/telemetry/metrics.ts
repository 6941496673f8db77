/** The hub's own figures in Prometheus' format. A registry per hub: two hubs in one process do not mix. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const latencyBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export type Metrics = ReturnType<typeof openMetrics>

/** @param figures asked for when somebody scrapes */
export function openMetrics(figures: {
  devicesOnline: () => number
  eventsStored: () => number
  changeClients: () => number
  liveClients: () => number
  artifactTransfers: () => number
  rolloutsOpen: () => number
  modelsOpen: () => number
  driftAlarms: () => ReadonlyMap<string, number>
}) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  gauge('edgeloop_devices_online', 'Devices that are connected now', figures.devicesOnline)
  gauge('edgeloop_events_stored', 'Events in the store', figures.eventsStored)
  gauge('edgeloop_change_clients', 'Open change streams', figures.changeClients)
  gauge('edgeloop_live_clients', 'Open live WebSockets', figures.liveClients)
  gauge('edgeloop_artifact_transfers', 'Transfers of models that go on', figures.artifactTransfers)
  gauge('edgeloop_rollouts_open', 'Rollouts that this hub decides about', figures.rolloutsOpen)
  gauge('edgeloop_models_open', 'Models that are open for others', figures.modelsOpen)
  new Gauge({
    name: 'edgeloop_drift_alarms',
    help: 'Alarms of drift that are not over, by kind; on the hub that watches',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset()
      for (const [kind, alarms] of figures.driftAlarms()) this.set({ kind }, alarms)
    },
  })
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name, help, labelNames, registers })
  return {
    registry,
    inferences: counter('edgeloop_inferences_total', 'Inferences asked for by HTTP, by status', [
      'status',
    ]),
    batchPictures: counter(
      'edgeloop_batch_pictures_total',
      'Pictures of batches by what became of them: computed, cached, failed',
      ['result'],
    ),
    ingestEvents: counter('edgeloop_ingest_events_total', 'Events committed', ['kind']),
    ingestBatches: counter('edgeloop_ingest_batches_total', 'Batches by what became of them', [
      'result',
    ]),
    ingestDuplicates: counter(
      'edgeloop_ingest_duplicates_total',
      'Entries that had been received before',
    ),
    ingestQuarantined: counter('edgeloop_ingest_quarantined_total', 'Entries put in quarantine'),
    ingestQueueBytes: new Gauge({
      name: 'edgeloop_ingest_queue_bytes',
      help: 'Payload bytes waiting to be committed',
      registers,
    }),
    commitSeconds: new Histogram({
      name: 'edgeloop_commit_seconds',
      help: 'One group commit',
      buckets: latencyBuckets,
      registers,
    }),
    commitFailures: counter('edgeloop_commit_failures_total', 'Group commits that failed'),
    mqttRefused: counter('edgeloop_mqtt_refused_total', 'Connections and packets refused', [
      'reason',
    ]),
    liveFrames: counter('edgeloop_live_frames_total', 'Live frames by what became of them', [
      'result',
    ]),
    artifactBytes: counter(
      'edgeloop_artifact_bytes_total',
      'Bytes of models handed to devices, by what they are: manifest, or the codec',
      ['codec'],
    ),
    artifactsRefused: counter(
      'edgeloop_artifact_transfers_refused_total',
      'Transfers of models that were put off, or cut because the device was too slow',
      ['reason'],
    ),
    updateMessages: counter(
      'edgeloop_update_messages_total',
      'What devices said of their updates, by what became of it',
      ['result'],
    ),
    rolloutDecisions: counter('edgeloop_rollout_decisions_total', 'Decisions about rollouts', [
      'act',
    ]),
    ruleDeliveries: counter('edgeloop_rule_deliveries_total', 'Tries to tell receivers of rules', [
      'outcome',
    ]),
    webVitals: new Histogram({
      name: 'edgeloop_web_vital',
      help: 'Web vitals of the dashboard: seconds, and CLS as it is',
      labelNames: ['vital'],
      buckets: [...latencyBuckets, 20],
      registers,
    }),
    webErrors: counter('edgeloop_web_errors_total', 'Errors that the dashboard reported'),
  }
}
