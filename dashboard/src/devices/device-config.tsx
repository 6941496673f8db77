/** What is wanted of a device, its past, and what it can run. */
import type { ReportedModel } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { type Column, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Empty } from '../shell/query-state.tsx'
import { sayCount } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { writeConfig } from './config-text.ts'
import { ConfigVersions } from './config-versions.tsx'
import classes from './device-config.module.css'
import { deviceQuery } from './device-queries.ts'

const route = getRouteApi('/in/devices/$deviceId')

const columns: readonly Column[] = ['Name', 'Layout', 'Labels', 'Runtime', 'Digest']

export function DeviceConfig() {
  const { deviceId } = route.useParams()
  const { data: detail } = useQuery(deviceQuery(deviceId))
  if (!detail) return null
  const { desired, reported } = detail
  return (
    <div className={classes.columns}>
      <ConfigVersions detail={detail} />
      <section>
        <h2>Wanted</h2>
        {desired ? (
          <>
            <p className={classes.line}>
              Version {desired.version}, <Ago at={desired.at} />{' '}
              {reported?.config?.accepted === false ? (
                <Status kind="bad" word="Refused by the device" />
              ) : reported?.configVersion === desired.version ? (
                <Status kind="ok" word="In force" />
              ) : (
                <Status kind="updating" word="Not in force yet" />
              )}
            </p>
            {reported?.config?.reason && (
              <p className={classes.refused}>{reported.config.reason}</p>
            )}
            <pre className={classes.json}>{writeConfig(desired.config)}</pre>
          </>
        ) : (
          <Empty
            title="Nothing is wanted yet"
            text="A stream that is added on the Overview becomes version 1 of what is wanted of this device."
          />
        )}
      </section>
      <section>
        <h2>Models on the device</h2>
        {reported && reported.models.length > 0 ? (
          <FramedTable label="Models" columns={columns} width="small" tall>
            {reported.models.map((model) => (
              <Table.Tr key={model.digest}>
                <Table.Td>{model.name}</Table.Td>
                <Table.Td>{model.layout}</Table.Td>
                <Table.Td title={model.labels.slice(0, 100).join(', ')}>
                  {sayCount(model.labels.length)}
                </Table.Td>
                <Table.Td>
                  {model.runtime}
                  <MeasuredRuntimes model={model} />
                </Table.Td>
                <Table.Td className="mono" title={model.digest}>
                  {model.digest.slice(0, 12)}
                </Table.Td>
              </Table.Tr>
            ))}
          </FramedTable>
        ) : (
          <Empty title="No models reported" text="A device reports its models when it connects." />
        )}
        {reported && (
          <p className={classes.line}>
            {reported.cpu}, {reported.cores} cores
          </p>
        )}
      </section>
    </div>
  )
}

/** What else could execute a model: how long it took on this device, or why it cannot. */
function MeasuredRuntimes({ model: { name, measured } }: { model: ReportedModel }) {
  if (!measured) return null
  return (
    <ul
      className={classes.measured}
      aria-label={`Measured runtimes of ${name}`}
      title={`Measured ${new Date(measured.at).toLocaleString()}`}
    >
      {measured.runtimes.map(({ runtime, medianMs, placedShare, reason }) => (
        <li key={runtime}>
          {runtime}{' '}
          {medianMs === undefined ? (
            `– ${reason ?? ''}`
          ) : (
            <>
              <span className="mono">{medianMs.toFixed(1)} ms</span>
              {placedShare !== undefined &&
                placedShare < 1 &&
                `, ${Math.round(placedShare * 100)} % of it there`}
            </>
          )}
        </li>
      ))}
    </ul>
  )
}
