import { runOnPostgres } from './on-postgres.ts'

await runOnPostgres('connections')
