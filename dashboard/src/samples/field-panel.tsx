/** One sample of a box large: why it was kept, what was found in it and hidden, and where it is used. */
import type { FieldSampleDetail } from '@edgeloop/protocol'
import { Skeleton } from '@mantine/core'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { SamplePicture } from '../datasets/sample-picture.tsx'
import {
  SampleBody,
  SampleLines,
  SampleView,
  type SampleWalk,
  Swatch,
} from '../datasets/sample-view.tsx'
import { sessionQuery } from '../people/session.ts'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayMoment, sayShare } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { fieldSampleQuery } from './field-queries.ts'
import { reasonWords, sayFound, sayHidden } from './sample-words.ts'
import classes from './samples.module.css'

export function FieldPanel({ sampleId, walk }: { sampleId: number; walk: SampleWalk }) {
  const query = useQuery(fieldSampleQuery(sampleId))
  return (
    <SampleView walk={walk} drawnWord="What the box found">
      {(bare) => (
        <QueryState query={query} skeleton={<Skeleton height={400} />}>
          {(sample) => <Shown sample={sample} bare={bare} />}
        </QueryState>
      )}
    </SampleView>
  )
}

function Shown({ sample, bare }: { sample: FieldSampleDetail; bare: boolean }) {
  const { deviceId, streamId, site, detections, model, reason, why } = sample
  const annotations = detections.map(({ label, box }) => ({ kind: 'box' as const, label, box }))
  return (
    <SampleBody
      sample={sample}
      said={`${deviceId}/${streamId}: ${sayFound(sample)}`}
      picture={<SamplePicture sample={{ ...sample, annotations }} bare={bare} />}
    >
      <h2>{reasonWords[reason]}</h2>
      <p className={classes.why}>{why || 'The box does not say why'}</p>
      <dl className={classes.facts}>
        <Fact name="Stream">
          <Link
            to="/devices/$deviceId/streams/$streamId"
            params={{ deviceId, streamId }}
            title="Settings of this stream"
          >
            {deviceId}/{streamId}
          </Link>{' '}
          at {site}
        </Fact>
        <Fact name="Captured">{sayMoment(Date.parse(sample.capturedAt))}</Fact>
        <Fact name="Received">{sayMoment(Date.parse(sample.receivedAt))}</Fact>
        <Fact name="Probability">
          {Number((sample.probability * 100).toPrecision(2))} % of frames like it are kept
        </Fact>
        <Fact name="Model">
          {model.version > 0 ? (
            <Link
              to="/models/$name/$version"
              params={{ name: model.name, version: `${model.version}` }}
            >
              {model.name}/{model.version}
            </Link>
          ) : (
            `${model.name}, the box's own file`
          )}{' '}
          <span className="dim mono" title={`SHA-256 ${model.digest}`}>
            {model.digest.slice(0, 12)}
          </span>
        </Fact>
        <Fact name="Picture">
          {sample.width} × {sample.height}, {sayBytes(sample.sizeBytes)}{' '}
          <span className="dim mono" title={`SHA-256 ${sample.digest}`}>
            {sample.digest.slice(0, 12)}
          </span>
        </Fact>
      </dl>
      <Hidden sample={sample} />
      <h3>What the box found</h3>
      {detections.length === 0 ? (
        <p className="dim">Nothing</p>
      ) : (
        <SampleLines>
          {detections.map(({ label, score }, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a list that never changes
            <li key={at}>
              <Swatch label={label} />
              {label} <span className="dim">{sayShare(score)}</span>
            </li>
          ))}
        </SampleLines>
      )}
      <Used sample={sample} />
    </SampleBody>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

/** What the box says that it made unreadable, and whether that is signed by it. */
function Hidden({ sample }: { sample: FieldSampleDetail }) {
  const { redaction, signatureValid } = sample
  return (
    <>
      <h3>What was made unreadable</h3>
      <p>
        {sayHidden(sample)}
        {redaction.labels.length > 0 && `; looked for ${redaction.labels.join(', ')}`}
        {redaction.modelDigest && (
          <>
            {' '}
            with{' '}
            <span className="mono" title={`SHA-256 ${redaction.modelDigest}`}>
              {redaction.modelDigest.slice(0, 12)}
            </span>
          </>
        )}
      </p>
      {redaction.regions.length > 0 && (
        <SampleLines>
          {redaction.regions.map(({ label, box: [left = 0, top = 0] }, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a list that never changes
            <li key={at}>
              {label}{' '}
              <span className="dim">
                {sayShare(left)} from the left, {sayShare(top)} from the top
              </span>
            </li>
          ))}
        </SampleLines>
      )}
      <p>
        {signatureValid ? (
          <Status kind="ok" word="Signed by the device" />
        ) : (
          <Status kind="bad" word="Not signed by this device" />
        )}
      </p>
    </>
  )
}

const stateWords: Readonly<Record<string, string>> = {
  open: 'waits for an answer',
  review: 'waits for a review',
  done: 'done',
  bad: 'kept out',
  flagged: 'flagged',
}

function Used({ sample: { datasets, tasks, digest } }: { sample: FieldSampleDetail }) {
  const { data: session } = useSuspenseQuery(sessionQuery)
  return (
    <>
      <h3>Where it is used</h3>
      {datasets.length + tasks.length === 0 ? (
        <p className="dim">In no dataset, and no queue asks for it</p>
      ) : (
        <SampleLines>
          {tasks.map(({ taskId, queue, state }) => (
            <li key={taskId}>
              {session.role === 'viewer' ? (
                <Link to="/label/$queue" params={{ queue }}>
                  Queue {queue}
                </Link>
              ) : (
                <Link to="/label/$queue/work" params={{ queue }} search={{ task: taskId }}>
                  Queue {queue}
                </Link>
              )}{' '}
              <span className="dim">{stateWords[state] ?? state}</span>
            </li>
          ))}
          {datasets.map((dataset) => (
            <li key={dataset}>
              <Link to="/datasets/$dataset" params={{ dataset }} search={{ sample: digest }}>
                Dataset {dataset}
              </Link>
            </li>
          ))}
        </SampleLines>
      )}
    </>
  )
}
