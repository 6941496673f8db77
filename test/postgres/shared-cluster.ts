/** One cluster for all tests of a process, started by the first that needs a database, gone with the process. */
import pg from 'pg'
import { type Cluster, startCluster } from './cluster.ts'

let cluster: Promise<Cluster> | undefined

/** Address of a new, empty database. */
export async function createDatabase(): Promise<string> {
  cluster ??= startCluster()
  return await (await cluster).createDatabase()
}

/** Address of a new database with what is in another one, which nobody uses now. */
export async function copyDatabase(url: string): Promise<string> {
  cluster ??= startCluster()
  return await (await cluster).createDatabase(new URL(url).pathname.slice(1))
}

/** Keeps a copy of a database that nobody uses now; the function puts it back. */
export async function keepDatabase(url: string): Promise<() => Promise<void>> {
  const name = new URL(url).pathname.slice(1)
  const run = async (...statements: string[]): Promise<void> => {
    const client = new pg.Client(Object.assign(new URL(url), { pathname: '/postgres' }).href)
    await client.connect()
    for (const statement of statements) await client.query(statement)
    await client.end()
  }
  await run(`create database ${name}_kept template ${name}`)
  return () => run(`drop database ${name}`, `create database ${name} template ${name}_kept`)
}
