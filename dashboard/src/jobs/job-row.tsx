/** One job of the queue: how it is, how far, and the way to end it. */
import type { Job } from '@edgeloop/protocol'
import { Button, Progress } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { Ago } from '../shell/now.tsx'
import { Status, type StatusKind } from '../shell/status.tsx'
import classes from './job-row.module.css'

const jobWords: Readonly<Record<Job['state'], { kind: StatusKind; word: string }>> = {
  queued: { kind: 'offline', word: 'Waits' },
  running: { kind: 'updating', word: 'Runs' },
  done: { kind: 'ok', word: 'Done' },
  failed: { kind: 'bad', word: 'Failed' },
  cancelled: { kind: 'offline', word: 'Cancelled' },
}

/** @param what it is, for whoever hears the progress: `Import` */
export function JobRow(props: { job: Job; what: string; mayChange: boolean }) {
  const { job, what, mayChange } = props
  const cancel = useMutation({
    mutationFn: () => call('jobCancel', { params: { jobId: job.jobId } }),
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
  })
  const open = job.state === 'queued' || job.state === 'running'
  const { kind, word } = jobWords[job.state]
  return (
    <li className={classes.row}>
      <div className={classes.job}>
        <span className={classes.what}>{what}</span>
        <Status kind={kind} word={job.cancelling ? 'Is being cancelled' : word} />
        <span className="dim">
          {job.by}, <Ago at={job.createdAt} />
        </span>
        {job.state === 'running' && (
          <>
            <Progress
              className={classes.progress ?? ''}
              value={job.progress * 100}
              aria-label={what}
            />
            <span role="status">
              {Math.round(job.progress * 100)} % {job.step}
            </span>
          </>
        )}
        {open && mayChange && (
          <Button
            size="compact-xs"
            variant="default"
            loading={cancel.isPending || job.cancelling}
            onClick={() => cancel.mutate()}
          >
            Cancel
          </Button>
        )}
      </div>
      {job.error && <p className={classes.failed}>{job.error}</p>}
    </li>
  )
}
