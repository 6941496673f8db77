/** `edgeloop job …`: the long work of a hub. */
import { Command } from 'commander'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

export function jobCommand(): Command {
  const job = new Command('job')
    .description('List, show and cancel the long work of a hub')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop job list
  $ ./edgeloop job cancel 8c0e7d52-…`,
    )
  withHub(
    job
      .command('list')
      .description('list the newest jobs')
      .option('--subject <name/version>', 'only those of one model version'),
  ).action(async (options: Options & { subject?: string }) => {
    const hub = await connectHub(options)
    const { subject } = options
    const rows = await hub.call('jobList', { query: subject === undefined ? {} : { subject } })
    if (options.json) {
      for (const row of rows) printJson(row)
      return
    }
    const now = Date.now()
    console.log(
      formatTable(rows, [
        { title: 'ID', of: (row) => row.jobId },
        { title: 'KIND', of: (row) => row.kind },
        { title: 'SUBJECT', of: (row) => row.subject },
        { title: 'STATE', of: (row) => (row.cancelling ? 'ending' : row.state) },
        { title: 'DONE', of: (row) => `${Math.round(row.progress * 100)} %`, right: true },
        { title: 'STEP', of: (row) => row.error || row.step },
        { title: 'BY', of: (row) => row.by },
        { title: 'QUEUED', of: (row) => ago(row.createdAt, now) },
      ]),
    )
  })
  withHub(job.command('show').argument('<id>', 'id of the job').description('show one job')).action(
    async (jobId: string, options: Options) => {
      const hub = await connectHub(options)
      const shown = await hub.call('jobShow', { params: { jobId } })
      if (options.json) return printJson(shown)
      const { kind, subject, state, progress, step, error } = shown
      console.log(`${kind} ${subject}: ${state}, ${Math.round(progress * 100)} % ${plain(step)}`)
      if (error) console.log(error.split('\n').map(plain).join('\n'))
    },
  )
  withHub(
    job.command('cancel').argument('<id>', 'id of the job').description('ask a job to end'),
  ).action(async (jobId: string, options: Options) => {
    const hub = await connectHub(options)
    const asked = await hub.call('jobCancel', { params: { jobId } })
    if (options.json) printJson(asked)
    else console.log(`Job ${jobId} ${asked.state === 'cancelled' ? 'is cancelled' : 'ends'}`)
  })
  return job
}
