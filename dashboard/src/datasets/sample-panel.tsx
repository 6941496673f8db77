/** One sample large, with what is said of it now and what was said before. */
import type { SampleDetail, SampleShown } from '@edgeloop/protocol'
import { Skeleton } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Ago } from '../shell/now.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayMoment, sayOf } from '../shell/say.ts'
import { sampleQuery } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { SamplePicture, sayAnnotations, wordOf } from './sample-picture.tsx'
import { SampleBody, SampleLines, SampleView, type SampleWalk, Swatch } from './sample-view.tsx'

/** Annotations listed one by one. */
const listedMax = 200

/** @param listed as the list has it: of a frozen version, which may say what the dataset no longer does */
export function SamplePanel(props: {
  dataset: string
  digest: string
  listed: SampleShown | undefined
  version: number | undefined
  walk: SampleWalk
}) {
  const { dataset, digest, listed, version } = props
  const frozen = version !== undefined && listed !== undefined
  const query = useQuery({ ...sampleQuery(dataset, digest), enabled: !frozen })
  return (
    <SampleView walk={props.walk} drawnWord="What is said of it">
      {(bare) =>
        frozen ? (
          <Shown sample={listed} bare={bare} version={version} />
        ) : (
          <QueryState query={query} skeleton={<Skeleton height={400} />}>
            {(detail) => <Shown sample={detail.sample} bare={bare} detail={detail} />}
          </QueryState>
        )
      }
    </SampleView>
  )
}

function Shown(props: {
  sample: SampleShown
  bare: boolean
  version?: number
  detail?: SampleDetail
}) {
  const { sample, bare, detail, version } = props
  const { annotations } = sample
  return (
    <SampleBody
      sample={sample}
      said={`${sample.name}: ${sayAnnotations(annotations)}`}
      picture={<SamplePicture sample={sample} bare={bare} />}
    >
      <h2>
        <bdi>{sample.name}</bdi>
      </h2>
      <ul className={classes.facts}>
        <li>
          {sample.width} × {sample.height}
        </li>
        {sample.split && <li>Side: {sample.split}</li>}
        {sample.site && <li>Site {sample.site}</li>}
        {sample.stream && <li>Stream {sample.stream}</li>}
        {sample.capturedAt && <li>{sayMoment(Date.parse(sample.capturedAt))}</li>}
        <li className="mono" title={`SHA-256 ${sample.digest}`}>
          {sample.digest.slice(0, 12)}
        </li>
      </ul>
      <p className="dim">
        {detail ? (
          <>
            {annotations.length > 0 ? 'Said' : 'Added'} by {detail.by}, <Ago at={detail.at} />
          </>
        ) : (
          `As it was frozen in version ${version}`
        )}
      </p>
      <SampleLines label="Annotations">
        {annotations.slice(0, listedMax).map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole, never reordered
          <li key={at}>
            {'label' in one && <Swatch label={one.label} />}
            {wordOf(one)} <span className="dim">{one.kind}</span>
          </li>
        ))}
      </SampleLines>
      {annotations.length > listedMax && (
        <p className="dim">and {annotations.length - listedMax} more</p>
      )}
      {detail && detail.earlier.length > 0 && (
        <details>
          <summary>{sayOf(detail.earlier.length, 'earlier state')}</summary>
          <SampleLines>
            {detail.earlier.map((one) => (
              <li key={one.revision}>
                {sayAnnotations(one.annotations)}{' '}
                <span className="dim">
                  {one.by}, <Ago at={one.at} />
                </span>
              </li>
            ))}
          </SampleLines>
        </details>
      )}
      {detail && detail.alsoIn.length > 0 && (
        <p>
          Also in{' '}
          {detail.alsoIn.map((name, at) => (
            <span key={name}>
              {at > 0 && ', '}
              <Link to="/datasets/$dataset" params={{ dataset: name }}>
                {name}
              </Link>
            </span>
          ))}
        </p>
      )}
    </SampleBody>
  )
}
