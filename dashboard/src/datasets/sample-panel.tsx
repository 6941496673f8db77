/** One sample large, with what is said of it now and what was said before. */
import type { SampleDetail, SampleShown } from '@edgeloop/protocol'
import { ActionIcon, Button, Skeleton, Switch } from '@mantine/core'
import { IconArrowLeft, IconChevronLeft, IconChevronRight } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { classColour } from '../live/class-colour.ts'
import { Ago } from '../shell/now.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayMoment, sayOf } from '../shell/say.ts'
import { sampleQuery } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { SamplePicture, sayAnnotations, wordOf } from './sample-picture.tsx'

/** Annotations listed one by one. */
const listedMax = 200

/** @param listed as the list has it: of a frozen version, which may say what the dataset no longer does */
export function SamplePanel(props: {
  dataset: string
  digest: string
  listed: SampleShown | undefined
  version: number | undefined
  onClose: () => void
  onPrevious: (() => void) | undefined
  onNext: (() => void) | undefined
}) {
  const { dataset, digest, listed, version } = props
  const [bare, setBare] = useState(false)
  const frozen = version !== undefined && listed !== undefined
  const query = useQuery({ ...sampleQuery(dataset, digest), enabled: !frozen })
  const acts = (
    <div className={classes.panelHead}>
      <Button
        size="xs"
        variant="default"
        leftSection={<IconArrowLeft size={14} aria-hidden />}
        onClick={props.onClose}
      >
        All samples
      </Button>
      <ActionIcon
        variant="default"
        aria-label="Previous sample"
        title="Previous (k)"
        disabled={!props.onPrevious}
        onClick={props.onPrevious}
      >
        <IconChevronLeft size={16} aria-hidden />
      </ActionIcon>
      <ActionIcon
        variant="default"
        aria-label="Next sample"
        title="Next (j)"
        disabled={!props.onNext}
        onClick={props.onNext}
      >
        <IconChevronRight size={16} aria-hidden />
      </ActionIcon>
      <Switch
        size="xs"
        label="What is said of it"
        checked={!bare}
        onChange={(event) => setBare(!event.currentTarget.checked)}
      />
    </div>
  )
  return (
    <section aria-label="Sample">
      {acts}
      {frozen ? (
        <Shown sample={listed} bare={bare} version={version} />
      ) : (
        <QueryState query={query} skeleton={<Skeleton height={400} />}>
          {(detail) => <Shown sample={detail.sample} bare={bare} detail={detail} />}
        </QueryState>
      )}
    </section>
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
    <div className={classes.panel}>
      <div
        className={classes.large}
        role="img"
        aria-label={`${sample.name}: ${sayAnnotations(annotations)}`}
      >
        <SamplePicture sample={sample} bare={bare} />
      </div>
      <div className={classes.panelSide}>
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
        <ul className={classes.annotations} aria-label="Annotations">
          {annotations.slice(0, listedMax).map((one, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole, never reordered
            <li key={at}>
              {'label' in one && (
                <span
                  className={classes.swatch}
                  style={{ background: classColour(one.label) }}
                  aria-hidden
                />
              )}
              {wordOf(one)} <span className="dim">{one.kind}</span>
            </li>
          ))}
        </ul>
        {annotations.length > listedMax && (
          <p className="dim">and {annotations.length - listedMax} more</p>
        )}
        {detail && detail.earlier.length > 0 && (
          <details>
            <summary>{sayOf(detail.earlier.length, 'earlier state')}</summary>
            <ul className={classes.annotations}>
              {detail.earlier.map((one) => (
                <li key={one.revision}>
                  {sayAnnotations(one.annotations)}{' '}
                  <span className="dim">
                    {one.by}, <Ago at={one.at} />
                  </span>
                </li>
              ))}
            </ul>
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
      </div>
    </div>
  )
}
