/** Which model versions a device runs, the updates that brought it there, and the way back. */
import type { DeviceUpdates, RolloutBox } from '@edgeloop/protocol'
import { Button, Skeleton, Table } from '@mantine/core'
import { IconCube } from '@tabler/icons-react'
import { useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { type Act, Confirm } from '../people/confirm.tsx'
import { sessionQuery } from '../people/session.ts'
import { deviceUpdatesQuery, useRolloutChanges } from '../rollouts/rollout-queries.ts'
import {
  agreementOf,
  driftOf,
  latencyRatioOf,
  sayBox,
  sayBoxState,
  sayDrift,
} from '../rollouts/rollout-words.ts'
import { FramedTable } from '../shell/framed-table.tsx'
import { Ago } from '../shell/now.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayDuration, sayMoment } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './device-models.module.css'

const route = getRouteApi('/in/devices/$deviceId')

export function DeviceModels() {
  useRolloutChanges()
  const { deviceId } = route.useParams()
  const query = useQuery(deviceUpdatesQuery(deviceId))
  return (
    <QueryState query={query} skeleton={<Skeleton height={240} />}>
      {(updates) =>
        updates.running.length === 0 && updates.updates.length === 0 ? (
          <Empty
            icon={<IconCube size={32} stroke={1.5} />}
            title="No models are known of"
            text="What a device runs is listed here once its agent has said so; updates come with a rollout."
          >
            <Link to="/rollouts/new" search={{ devices: [deviceId] }}>
              Begin a rollout to this device
            </Link>
          </Empty>
        ) : (
          <>
            <Running deviceId={deviceId} updates={updates} />
            <Updates updates={updates.updates} />
          </>
        )
      }
    </QueryState>
  )
}

function Running({ deviceId, updates }: { deviceId: string; updates: DeviceUpdates }) {
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [act, setAct] = useState<Act>()
  const rollBack = (name: string, version: number, before: number | null): Act => ({
    title: 'Roll back',
    text: (
      <p>
        The box goes back from version {version} of <b>{name}</b> to {sayVersion(before)}. Only this
        box; its rollout goes on elsewhere.
      </p>
    ),
    word: 'Roll 1 box back',
    run: () => call('deviceModelRollBack', { params: { deviceId, name } }),
    done: () => void queryClient.invalidateQueries(deviceUpdatesQuery(deviceId)),
  })
  if (updates.running.length === 0) {
    return (
      <section className={classes.section} aria-labelledby="running">
        <h2 id="running">Runs now</h2>
        <p className="dim">It has not said yet what it runs.</p>
      </section>
    )
  }
  return (
    <section className={classes.section} aria-labelledby="running">
      <h2 id="running">Runs now</h2>
      <FramedTable
        label="Models that run now"
        columns={['Model', 'Version', 'Digest', { word: 'Actions', quiet: true }]}
        width="small"
      >
        {updates.running.map(({ name, version, digest }) => {
          const newest = updates.updates.find((one) => one.name === name)
          const why =
            session.role === 'viewer'
              ? 'Only an operator can roll back'
              : version === 0 || newest?.version !== version
                ? 'It runs no version that a rollout brought'
                : newest.goingBack
                  ? 'It goes back already'
                  : undefined
          return (
            <Table.Tr key={`${name} ${digest}`}>
              <Table.Td>{name}</Table.Td>
              <Table.Td>
                {version === 0 ? (
                  'the box’s own'
                ) : (
                  <Link to="/models/$name/$version" params={{ name, version: `${version}` }}>
                    {version}
                  </Link>
                )}
              </Table.Td>
              <Table.Td className="mono" title={`SHA-256 ${digest}`}>
                {digest.slice(0, 12)}
              </Table.Td>
              <Table.Td>
                <Button
                  size="compact-xs"
                  variant="default"
                  disabled={why !== undefined}
                  title={why}
                  aria-label={`Roll ${name} back`}
                  onClick={() => setAct(rollBack(name, version, newest?.versionBefore ?? null))}
                >
                  Roll back…
                </Button>
              </Table.Td>
            </Table.Tr>
          )
        })}
      </FramedTable>
      {updates.at !== null && (
        <p className="dim">
          As it said <Ago at={updates.at} />
        </p>
      )}
      <Confirm act={act} onClose={() => setAct(undefined)} />
    </section>
  )
}

const sayVersion = (version: number | null): string =>
  version === null
    ? 'not having it'
    : version === 0
      ? 'the model of its own configuration'
      : `version ${version}`

function Updates({ updates }: { updates: readonly RolloutBox[] }) {
  return (
    <section className={classes.section} aria-labelledby="updates">
      <h2 id="updates">Updates</h2>
      {updates.length === 0 ? (
        <p className="dim">It was offered none.</p>
      ) : (
        <FramedTable
          label="Updates of this device"
          columns={[
            ...['When', 'Version', 'State', 'Way', 'Compared', 'Why'],
            { word: 'Bytes', right: true },
          ]}
          width="full"
          tall
        >
          {updates.map((update) => {
            const { kind, word } = sayBox(update)
            return (
              <Table.Tr key={`${update.rolloutId} ${update.attempt}`}>
                <Table.Td title={sayMoment(Date.parse(update.since))}>
                  <Ago at={update.since} />
                </Table.Td>
                <Table.Td>
                  <Link to="/rollouts/$rolloutId" params={{ rolloutId: update.rolloutId }}>
                    {update.name}/{update.version}
                  </Link>
                  {update.attempt > 1 && <div className="dim">try {update.attempt}</div>}
                </Table.Td>
                <Table.Td>
                  <Status kind={kind} word={word} />
                </Table.Td>
                <Table.Td className={classes.way ?? ''}>
                  <Way update={update} />
                </Table.Td>
                <Table.Td>{sayCompared(update)}</Table.Td>
                <Table.Td className={classes.why ?? ''}>
                  {update.code && <span className="mono">{update.code}</span>} {update.reason}
                </Table.Td>
                <Table.Td ta="right" title={`Whole file ${sayBytes(update.bytes.whole)}`}>
                  {update.bytes.fromHub + update.bytes.fromMirrors === 0
                    ? '–'
                    : sayBytes(update.bytes.fromHub + update.bytes.fromMirrors)}
                  {update.bytes.codec && <div className="dim">{update.bytes.codec}</div>}
                </Table.Td>
              </Table.Tr>
            )
          })}
        </FramedTable>
      )}
    </section>
  )
}

/** States that it passed through, with how long each took. */
function Way({ update: { history } }: { update: RolloutBox }) {
  return (
    <ol className={classes.history}>
      {history.map(({ state, at }, place) => {
        const next = history[place + 1]
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a list that only grows, and may hold a state twice
          <li key={place} title={sayMoment(Date.parse(at))}>
            {sayBoxState(state).word}
            {next && (
              <span className="dim"> {sayDuration(Date.parse(next.at) - Date.parse(at))}</span>
            )}
          </li>
        )
      })}
    </ol>
  )
}

function sayCompared(update: RolloutBox): string {
  const [agreement, latency, drift] = [agreementOf(update), latencyRatioOf(update), driftOf(update)]
  const said = [
    agreement === null ? '' : `agreement ${Math.round(agreement * 100)} %`,
    latency === null ? '' : `latency ${latency.toFixed(2)}×`,
    drift === null ? '' : `drift ${sayDrift(drift)}`,
  ].filter((word) => word !== '')
  return said.length === 0 ? '–' : said.join(', ')
}
