/** One version of a model: what is in it, what was compiled of it and how good and fast that is. */
import {
  type Artifact,
  type ModelInspection,
  type ModelVersionDetail,
  pathOf,
  routes,
} from '@edgeloop/protocol'
import { Button, NativeSelect, Skeleton, Table } from '@mantine/core'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { JobRow } from '../jobs/job-row.tsx'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayCount, sayOf } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import tables from '../shell/tables.module.css'
import { CandidatePlot } from './candidate-plot.tsx'
import { Compile } from './compile.tsx'
import { jobListQuery, modelQuery, publishedQuery, useModelChanges } from './model-queries.ts'
import classes from './models.module.css'
import { Publish } from './publish.tsx'
import { Standing, Versions } from './standing.tsx'

const route = getRouteApi('/in/models/$name/$version')

export function ModelPage() {
  useModelChanges()
  const { name, version } = route.useParams()
  const number = Number(version)
  const navigate = useNavigate()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const query = useQuery(modelQuery(name, number))
  const [act, setAct] = useState<Act>()
  const mayChange = session.role !== 'viewer'
  const { data: published } = useQuery(publishedQuery(name, number))
  const isPublished = (published?.length ?? 0) > 0
  const remove = (): Act => ({
    title: 'Remove a version',
    text: (
      <p>
        Version {version} of <b>{name}</b> goes, with{' '}
        {sayOf(query.data?.artifacts.length ?? 0, 'artifact')} that was compiled of it. This cannot
        be undone.
      </p>
    ),
    word: 'Remove 1 version',
    run: () => call('modelRemove', { params: { name, version: number } }),
    done: () => void navigate({ to: '/models' }),
  })
  return (
    <Page
      title={`${name} ${version}`}
      parent={<Link to="/models">Models</Link>}
      aside={
        <div className={classes.acts}>
          {query.data && query.data.versions.length > 1 && (
            <NativeSelect
              size="xs"
              aria-label="Version"
              value={version}
              data={query.data.versions.map(String)}
              onChange={(event) =>
                void navigate({
                  to: '/models/$name/$version',
                  params: { name, version: event.currentTarget.value },
                })
              }
            />
          )}
          <Button
            size="xs"
            variant="default"
            component="a"
            href={pathOf(routes.modelFile, { name, version: number })}
            download
          >
            Download
          </Button>
          {session.role === 'admin' && (
            <Button
              size="xs"
              color="bad"
              variant="default"
              disabled={isPublished}
              title={isPublished ? 'It is published, and boxes may run it' : undefined}
              onClick={() => setAct(remove())}
            >
              Remove…
            </Button>
          )}
        </div>
      }
    >
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {(detail) => (
          <>
            <Facts detail={detail} />
            <Standing model={detail.model} mayChange={mayChange} />
            <Publish model={detail.model} mayChange={mayChange} />
            <Work subject={`${name}/${version}`} mayChange={mayChange} detail={detail} />
            {detail.artifacts.map((artifact) => (
              <ArtifactSection key={artifact.artifactId} artifact={artifact} />
            ))}
            <Versions name={name} shown={number} />
            <Inside inspection={detail.model.inspection} />
          </>
        )}
      </QueryState>
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </Page>
  )
}

function Facts({ detail }: { detail: ModelVersionDetail }) {
  const { model } = detail
  const { inspection, labels } = model
  const shown = labels.slice(0, 8).join(', ')
  return (
    <>
      <ul className={classes.facts}>
        <li>Layout {model.layout}</li>
        <li>{sayBytes(model.sizeBytes)}</li>
        <li>{sayCount(inspection.parameters)} parameters</li>
        {inspection.macs !== null && <li>{sayCount(Math.round(inspection.macs / 1e6))} M MACs</li>}
        <li>Opset {inspection.opset}</li>
        <li title={labels.join(', ')}>
          {labels.length === 0
            ? 'No labels'
            : `${sayOf(labels.length, 'label')}: ${shown}${labels.length > 8 ? ', …' : ''}`}
        </li>
        <li>
          Added <Ago at={model.createdAt} /> by {model.by}
        </li>
        <li className="mono" title={`SHA-256 ${model.digest}`}>
          {model.digest.slice(0, 12)}
        </li>
      </ul>
      {model.note && <p>{model.note}</p>}
      {inspection.warnings.map((warning) => (
        <p key={warning}>
          <Status kind="warn" word="Warning" quiet /> {warning}
        </p>
      ))}
    </>
  )
}

/** What is being made of it, and what may be asked for. */
function Work(props: { subject: string; mayChange: boolean; detail: ModelVersionDetail }) {
  const jobs = useQuery(jobListQuery(props.subject))
  return (
    <section className={classes.section} aria-labelledby="compilations">
      <h2 id="compilations">Compilations</h2>
      {props.mayChange && <Compile model={props.detail.model} />}
      <QueryState query={jobs} skeleton={<Skeleton height={60} />}>
        {(all) => {
          const rows = all.filter(({ kind }) => kind === 'compile')
          return rows.length === 0 ? (
            <p className="dim">Nothing was compiled of this version yet.</p>
          ) : (
            <ul className={classes.jobs}>
              {rows.map((job) => (
                <JobRow key={job.jobId} job={job} what="Compilation" mayChange={props.mayChange} />
              ))}
            </ul>
          )
        }}
      </QueryState>
    </section>
  )
}

function ArtifactSection({ artifact }: { artifact: Artifact }) {
  const { artifactId, candidates, chosen } = artifact
  const chosenOne = candidates.find((one) => one.name === chosen)
  const [report, setReport] = useState(false)
  const address = pathOf(routes.artifactReport, { artifactId })
  return (
    <section className={classes.section} aria-labelledby={`a-${artifactId}`}>
      <div className={classes.sectionHead}>
        <h2 id={`a-${artifactId}`}>
          {artifact.target}: {chosen}
        </h2>
        <div className={classes.acts}>
          <Button size="xs" variant="default" onClick={() => setReport(!report)}>
            {report ? 'Hide the report' : 'Show the report'}
          </Button>
          <Button
            size="xs"
            variant="default"
            component="a"
            href={pathOf(routes.artifactFile, { artifactId })}
            download={`${artifact.name}-${artifact.version}-${artifact.target}.onnx`}
          >
            Download
          </Button>
        </div>
      </div>
      <p className="dim">
        {sayBytes(artifact.sizeBytes)}
        {chosenOne?.latencyRatio != null &&
          `, ${chosenOne.latencyRatio.toFixed(2)} times as fast as the original`}
        {chosenOne?.metric && `, ${chosenOne.metric.name} ${chosenOne.metric.value.toFixed(3)}`}
        {', '}
        <Ago at={artifact.createdAt} />.{' '}
        <a href={pathOf(routes.artifactManifest, { artifactId })}>Manifest</a>
      </p>
      <div className={classes.result}>
        <Scroller label={`Accuracy against speed for ${artifact.target}`}>
          <CandidatePlot candidates={candidates} chosen={chosen} />
        </Scroller>
        <Candidates artifact={artifact} />
      </div>
      {report && (
        <iframe
          className={classes.report}
          src={address}
          title={`Report of ${artifact.target}`}
          sandbox=""
        />
      )}
    </section>
  )
}

function Candidates({ artifact }: { artifact: Artifact }) {
  const metric = artifact.candidates.find((one) => one.metric)?.metric?.name ?? 'Metric'
  return (
    <Scroller label={`Candidates for ${artifact.target}`}>
      <Table className={`${tables.table} ${classes.candidates}`}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Candidate</Table.Th>
            <Table.Th className={tables.number ?? ''}>Size</Table.Th>
            <Table.Th className={tables.number ?? ''}>Speed</Table.Th>
            <Table.Th className={tables.number ?? ''}>{metric}</Table.Th>
            <Table.Th className={tables.number ?? ''}>SQNR</Table.Th>
            <Table.Th>Why not</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {artifact.candidates.map((one) => (
            <Table.Tr key={one.name} data-chosen={one.name === artifact.chosen}>
              <Table.Td>
                {one.name}
                {one.name === artifact.chosen && (
                  <>
                    {' '}
                    <Status kind="ok" word="chosen" />
                  </>
                )}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {one.sizeBytes === null ? '–' : sayBytes(one.sizeBytes)}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {one.latencyRatio === null ? '–' : `${one.latencyRatio.toFixed(2)}×`}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {one.metric ? one.metric.value.toFixed(3) : '–'}
              </Table.Td>
              <Table.Td className={tables.number ?? ''}>
                {one.sqnrDb === null ? '–' : `${one.sqnrDb.toFixed(1)} dB`}
              </Table.Td>
              <Table.Td className={classes.why ?? ''}>{one.refused}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}

function Inside({ inspection }: { inspection: ModelInspection }) {
  const operators = Object.entries(inspection.operators).sort(([, a], [, b]) => b - a)
  const sayShape = (shape: ModelInspection['inputs'][number]['shape']) =>
    shape === null ? 'unknown' : shape.map((one) => one ?? '?').join(' × ')
  return (
    <section className={classes.section} aria-labelledby="inside">
      <h2 id="inside">Inside</h2>
      <Scroller label="Inputs and outputs">
        <Table className={`${tables.table} ${classes.candidates}`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Way</Table.Th>
              <Table.Th>Name</Table.Th>
              <Table.Th>Type</Table.Th>
              <Table.Th>Shape</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {[
              ...inspection.inputs.map((port) => ({ ...port, way: 'in' })),
              ...inspection.outputs.map((port) => ({ ...port, way: 'out' })),
            ].map((port) => (
              <Table.Tr key={`${port.way} ${port.name}`}>
                <Table.Td>{port.way}</Table.Td>
                <Table.Td className="mono">{port.name}</Table.Td>
                <Table.Td>{port.type}</Table.Td>
                <Table.Td>{sayShape(port.shape)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Scroller>
      <p className={classes.operators}>
        {operators.map(([name, count]) => (
          <span key={name}>
            {name} <b>{count}</b>
          </span>
        ))}
      </p>
    </section>
  )
}
