/** One device: what it sees, how it does, and what is wanted of it. */
import { type DeviceDetail, mayAct } from '@edgeloop/protocol'
import { ActionIcon, CopyButton, Skeleton } from '@mantine/core'
import { IconPencil } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, Outlet } from '@tanstack/react-router'
import { lazy, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { Ago } from '../shell/now.tsx'
import { OnDemand } from '../shell/on-demand.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayDuration, sayNumber, sayShare } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import classes from './device-page.module.css'
import { deviceQuery } from './device-queries.ts'
import { healthWords } from './device-status.ts'

const EditDevice = lazy(async () => ({
  default: (await import('./edit-device.tsx')).EditDevice,
}))

const route = getRouteApi('/in/devices/$deviceId')

const tabs = [
  { to: '/devices/$deviceId', word: 'Overview' },
  { to: '/devices/$deviceId/metrics', word: 'Metrics' },
  { to: '/devices/$deviceId/models', word: 'Models' },
  { to: '/devices/$deviceId/config', word: 'Config' },
  { to: '/devices/$deviceId/history', word: 'History' },
  { to: '/devices/$deviceId/logs', word: 'Logs' },
] as const

export function DevicePage() {
  const { deviceId } = route.useParams()
  const query = useQuery(deviceQuery(deviceId))
  const device = query.data?.device
  return (
    <Page
      title={device?.name ?? deviceId}
      parent={<Link to="/devices">Devices</Link>}
      heading={
        <>
          <bdi>{device?.name ?? deviceId}</bdi>
          {device && (
            <span className={classes.status}>
              <Status
                kind={healthWords[device.health].kind}
                word={healthWords[device.health].word}
                size={16}
              />
            </span>
          )}
          {device && <Edit device={device} />}
        </>
      }
      aside={device && <Figures device={device} />}
    >
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {(detail) => (
          <>
            {detail.device.reason && <p className={classes.reason}>{detail.device.reason}</p>}
            <Facts detail={detail} />
            <nav className={classes.tabs} aria-label="Parts of this device">
              {tabs.map(({ to, word }) => (
                <Link
                  key={to}
                  to={to}
                  params={{ deviceId }}
                  className={classes.tab ?? ''}
                  activeOptions={{ exact: true, includeSearch: false }}
                  activeProps={{ 'aria-current': 'page' }}
                  replace
                >
                  {word}
                </Link>
              ))}
            </nav>
            <Outlet />
          </>
        )}
      </QueryState>
    </Page>
  )
}

function Edit(props: { device: DeviceDetail['device'] }) {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [editing, setEditing] = useState(false)
  const refused = mayAct(session.role, 'operator')
    ? undefined
    : 'Only an operator or admin can edit devices'
  return (
    <>
      <ActionIcon
        className={classes.edit ?? ''}
        variant="subtle"
        color="gray"
        aria-label="Edit name and site"
        title={refused ?? 'Edit name and site'}
        disabled={refused !== undefined}
        onClick={() => setEditing(true)}
      >
        <IconPencil size={16} aria-hidden />
      </ActionIcon>
      <OnDemand when={editing}>
        <EditDevice device={props.device} onClose={() => setEditing(false)} />
      </OnDemand>
    </>
  )
}

/** The figures that matter now, where eyes go first. */
function Figures(props: { device: DeviceDetail['device'] }) {
  const { device } = props
  const online = device.connectivity === 'online'
  const measured = online && device.memoryBytes > 0
  const figures = [
    ['Streams live', online ? `${device.streamsLive} of ${device.streamsTotal}` : '–'],
    ['Analysed', measured ? `${sayNumber(device.analysedFps)} fps` : '–'],
    ['CPU', measured ? sayShare(device.cpuShare) : '–'],
    ['Memory', measured ? sayBytes(device.memoryBytes) : '–'],
  ] as const
  return (
    <dl className={classes.figures}>
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A clock that is less ahead than this troubles nobody, ms. */
const aheadMsMin = 60_000

function Facts(props: { detail: DeviceDetail }) {
  const { device, reported, desired, certificate, clockAheadMs } = props.detail
  const pending = desired && reported && desired.version !== reported.configVersion
  return (
    <ul className={classes.facts}>
      <li>
        <CopyButton value={device.deviceId}>
          {({ copied, copy }) => (
            <button
              type="button"
              className={`mono ${classes.id}`}
              onClick={copy}
              title="Copy the id"
            >
              {copied ? 'Copied' : device.deviceId}
            </button>
          )}
        </CopyButton>
      </li>
      <li>
        Site {device.site}
        {certificate.site !== device.site && ` (its certificate and topics: ${certificate.site})`}
      </li>
      {device.tags.length > 0 && <li>Tags {device.tags.join(', ')}</li>}
      <li>
        {device.lastSeenAt ? (
          <>
            Seen <Ago at={device.lastSeenAt} />
          </>
        ) : (
          'Never seen'
        )}
      </li>
      {reported && (
        <>
          <li>Agent {reported.agentVersion}</li>
          <li>
            {reported.platform}, {reported.cores} cores
          </li>
          <li>
            Up since <Ago at={reported.startedAt} />
          </li>
        </>
      )}
      {clockAheadMs > aheadMsMin && (
        <li>
          <Status
            kind="warn"
            word={`Its clock is ${sayDuration(clockAheadMs)} ahead`}
            title="Its events are kept under its own times; set its clock, or let it ask a time server"
          />
        </li>
      )}
      <li title={`Certificate ${certificate.serial}`}>
        Certificate until {certificate.notAfter.slice(0, 10)}
      </li>
      {reported?.config?.accepted === false ? (
        <li>
          <Status kind="bad" word="Config refused" title={reported.config.reason} />
        </li>
      ) : (
        pending && (
          <li>
            <Status
              kind="updating"
              word={`Config ${desired.version} pending`}
              title={`In force: ${reported.configVersion}`}
            />
          </li>
        )
      )}
    </ul>
  )
}
