/**
 * Door of the hub: `readHubConfig` gives checked data, `openHub` builds a hub from it.
 * @module
 */
export { type BrokerConfigOptions, writeMosquittoConfig } from './broker/broker-config.ts'
export { HubConfig, readHubConfig } from './configuration.ts'
export type { LaidOut } from './datasets/versions.ts'
export { type Hub, type HubUrls, openHub } from './hub.ts'
export {
  type InferenceEngine,
  type LookOptions,
  ModelFault,
  type ModelProcess,
} from './inference/engine.ts'
export type { AgentBundle, AgentBundles } from './installs/installs.ts'
export type { JobProgress } from './jobs/job-worker.ts'
export type {
  ProposedSample,
  ProposedThing,
  ProposeOrder,
  Proposer,
} from './labelling/proposer.ts'
export type {
  Compiled,
  CompileOrder,
  Compiler,
  DescribedModel,
  EncodingFile,
  Inspected,
  Prepared,
  PrepareOrder,
} from './models/compiler.ts'
export { checkBackup, makeBackup, restoreBackup } from './store/backup.ts'
export { describeStore, type StoreDescription } from './store/describe-store.ts'
export { moveStore, type StoreMoved } from './store/move-store.ts'
export { parseStoreAddress, type StoreAddress } from './store/store-address.ts'
export { isOpen } from './store/store-ends.ts'
export type { Compared, CompareOrder, Judged, Trainer } from './training/trainer.ts'
export { openFirstRoot, rootMs } from './trust/trust-keys.ts'
