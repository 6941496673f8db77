/**
 * Door of the protocol: every record, message and route of the system as one schema each. It holds
 * no compiler, so a browser can load it; what checks data against a schema is behind `./check`.
 * @module
 */
export * from './areas.ts'
export * from './artifact.ts'
export * from './call.ts'
export * from './clip.ts'
export * from './config-versions.ts'
export * from './datasets.ts'
export * from './device.ts'
export * from './device-log.ts'
export * from './event.ts'
export * from './jobs.ts'
export * from './live.ts'
export * from './messages.ts'
export * from './models.ts'
export * from './names.ts'
export * from './nearest.ts'
export * from './people.ts'
export * from './picture-pack.ts'
export * from './problem.ts'
export * from './publishing.ts'
export * from './rollouts.ts'
export * from './routes.ts'
export * from './runs.ts'
export * from './stream.ts'
export * from './updates.ts'
