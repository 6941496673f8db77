/** `npm run check`: formatting, lint and types of the whole house. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('..', import.meta.url))
const bin = (name: string) => `${repository}node_modules/.bin/${name}`

const steps = [
  { what: 'format and lint', command: bin('biome'), args: ['check', '--error-on-warnings', '.'] },
  { what: 'types', command: bin('tsc'), args: [] },
  { what: 'types of the dashboard', command: bin('tsc'), args: ['-p', 'dashboard'] },
] as const

/** Runs every step, also after a failure, and says whether all of them passed. */
export function check(): boolean {
  const failed = steps.filter(({ what, command, args }) => {
    console.error(`edgeloop: checking ${what}`)
    return spawnSync(command, args, { cwd: repository, stdio: 'inherit' }).status !== 0
  })
  for (const { what } of failed) console.error(`edgeloop: error: ${what} failed`)
  return failed.length === 0
}

if (import.meta.main) process.exitCode = check() ? 0 : 1
