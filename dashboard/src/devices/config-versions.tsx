/** The past of a configuration: who wished what, what the device made of it, and the way back. */
import { type ConfigVersion, type DeviceDetail, mayAct } from '@edgeloop/protocol'
import { Button, Skeleton, Table } from '@mantine/core'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { type Column, FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { Status, type StatusKind } from '../shell/status.tsx'
import streamClasses from '../streams/stream-table.module.css'
import { ConfigChanges } from './config-changes.tsx'
import classes from './device-config.module.css'
import { configDiffQuery, configVersionsQuery } from './device-queries.ts'
import { RollBack } from './roll-back.tsx'

const route = getRouteApi('/in/devices/$deviceId/config')

const outcomes: Record<ConfigVersion['outcome'], { kind: StatusKind; word: string }> = {
  accepted: { kind: 'ok', word: 'Taken' },
  refused: { kind: 'bad', word: 'Refused' },
  sent: { kind: 'updating', word: 'No answer' },
}

const columns: readonly Column[] = [{ word: 'Version', right: true }, 'When', 'By', 'On the device']

export function ConfigVersions(props: { detail: DeviceDetail }) {
  const { deviceId } = props.detail.device
  const { version: selected } = route.useSearch()
  const query = useQuery(configVersionsQuery(props.detail))
  return (
    <section>
      <h2>Versions</h2>
      <QueryState query={query} skeleton={<Skeleton height={120} />}>
        {(versions) =>
          versions.length === 0 ? (
            <Empty title="No versions yet" text="Every change of what is wanted becomes one." />
          ) : (
            <>
              <FramedTable label="Versions" columns={columns} width="small">
                {versions.map((one) => (
                  <VersionRow
                    key={one.version}
                    one={one}
                    deviceId={deviceId}
                    selected={one.version === selected}
                  />
                ))}
              </FramedTable>
              {selected !== undefined && (
                <Compared
                  deviceId={deviceId}
                  version={selected}
                  newest={versions[0]?.version ?? selected}
                  kept={versions.some(({ version }) => version === selected)}
                  hasBefore={versions.some(({ version }) => version === selected - 1)}
                />
              )}
            </>
          )
        }
      </QueryState>
    </section>
  )
}

function VersionRow(props: { one: ConfigVersion; deviceId: string; selected: boolean }) {
  const { version, at, by, outcome, reason } = props.one
  const { kind, word } = outcomes[outcome]
  return (
    <Table.Tr data-selected={props.selected || undefined}>
      <Table.Td ta="right">
        <Link
          to="/devices/$deviceId/config"
          params={{ deviceId: props.deviceId }}
          search={props.selected ? {} : { version }}
          aria-current={props.selected ? 'true' : undefined}
          aria-label={`Version ${version}`}
          replace
        >
          {version}
        </Link>
      </Table.Td>
      <Table.Td>
        <Ago at={at} />
      </Table.Td>
      <Table.Td>
        <bdi>{by || 'unknown'}</bdi>
      </Table.Td>
      <Table.Td className={streamClasses.state ?? ''}>
        <Status kind={kind} word={word} />
        {reason && <div className="dim">{reason}</div>}
      </Table.Td>
    </Table.Tr>
  )
}

/** What a version changed, and what going back to it would. */
function Compared(props: {
  deviceId: string
  version: number
  newest: number
  kept: boolean
  /** False for the oldest that is kept: what it changed is not known any more. */
  hasBefore: boolean
}) {
  const { deviceId, version, newest } = props
  const { data: session } = useSuspenseQuery(sessionQuery)
  const mayRollBack = mayAct(session.role, 'operator')
  const [rolling, setRolling] = useState(false)
  const first = version === 1
  const own = useQuery({
    ...configDiffQuery(deviceId, version - 1, version),
    enabled: props.kept && (props.hasBefore || first),
  })
  if (!props.kept) {
    return <Empty title={`Version ${version} is not kept`} text="The oldest versions give way." />
  }
  return (
    <div className={classes.compared}>
      <h3>What version {version} changed</h3>
      {props.hasBefore || first ? (
        <QueryState query={own} skeleton={<Skeleton height={60} />}>
          {({ changes }) => (
            <ConfigChanges changes={changes} label={`Changes of version ${version}`} />
          )}
        </QueryState>
      ) : (
        <p className="dim">The version before it is not kept any more.</p>
      )}
      {version !== newest && (
        <Button
          variant="default"
          disabled={!mayRollBack}
          title={
            mayRollBack ? undefined : 'Only an operator or an admin can change a configuration'
          }
          onClick={() => setRolling(true)}
        >
          Roll back to version {version}
        </Button>
      )}
      {rolling && (
        <RollBack
          deviceId={deviceId}
          version={version}
          newest={newest}
          onClose={() => setRolling(false)}
        />
      )}
    </div>
  )
}
