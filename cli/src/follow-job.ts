/** Shows on standard error how far a job of a hub is, until it is over. */
import { isOver, type Job } from '@edgeloop/protocol'
import type { HubClient } from './hub-client.ts'
import { plain } from './output.ts'

const lookIntervalMs = 1000

/**
 * @param say where lines of progress go
 * @returns the job as it ended, whatever came of it
 */
export async function followJob(
  hub: HubClient,
  { jobId }: Job,
  say: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): Promise<Job> {
  let said = ''
  for (;;) {
    const job = await hub.call('jobShow', { params: { jobId } })
    const line = `${Math.round(job.progress * 100)} % ${plain(job.step)}`
    if (line !== said) say(line)
    said = line
    if (isOver(job)) return job
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
}
