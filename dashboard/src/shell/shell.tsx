/** What stays while pages change: where one can go, whether the data is live, and who one is. */
import { ActionIcon, Menu, Tooltip } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { IconKeyboard, IconSearch, IconUser } from '@tabler/icons-react'
import { useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { Link, Outlet, useMatches, useRouter } from '@tanstack/react-router'
import { lazy, useEffect, useEffectEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { ChangesProvider } from '../api/changes.tsx'
import { useDeviceChanges } from '../devices/device-changes.ts'
import { LiveProvider } from '../live/live-context.tsx'
import { sessionQuery } from '../people/session.ts'
import { monitorLater } from '../telemetry/real-user.ts'
import { Brand } from './brand.tsx'
import { FeedChip } from './feed-chip.tsx'
import { Navigation } from './navigation.tsx'
import { NowProvider } from './now.tsx'
import { OnDemand } from './on-demand.tsx'
import { groupsFor } from './places.ts'
import classes from './shell.module.css'
import { useKeys } from './use-keys.ts'

const Palette = lazy(async () => ({ default: (await import('./palette.tsx')).Palette }))
const KeySheet = lazy(async () => ({ default: (await import('./key-sheet.tsx')).KeySheet }))

/** @param onSignedOut called when the hub says that the session has ended */
export function Shell(props: { onSignedOut: () => void }) {
  return (
    <NowProvider>
      <ChangesProvider onSignedOut={props.onSignedOut}>
        <LiveProvider>
          <Frame />
        </LiveProvider>
      </ChangesProvider>
    </NowProvider>
  )
}

function Frame() {
  const router = useRouter()
  const [sheet, setSheet] = useState(false)
  const [palette, setPalette] = useState(false)
  const { data: session } = useSuspenseQuery(sessionQuery)
  const groups = groupsFor(session.role === 'admin')
  const places = groups.flatMap((group) => [...group.places])
  const bare = useMatches({ select: (all) => all.some(({ staticData }) => staticData.bare) })
  useDeviceChanges()
  useUnsent(session.user)
  useEffect(() => monitorLater(router, __EDGELOOP_VERSION__), [router])
  useKeys({
    ...Object.fromEntries(places.map(({ go, to }) => [go, () => void router.navigate({ to })])),
    sheet: () => setSheet(true),
  })
  usePaletteKey(() => setPalette(true))
  return (
    <div className={classes.shell} data-bare={bare}>
      <a className={classes.skip} href="#page">
        Skip to the page
      </a>
      <header className={classes.bar}>
        <Link to="/" className={classes.home} aria-label="Edgeloop, home">
          <Brand />
        </Link>
        <div className={classes.right}>
          <FeedChip />
          <Tooltip label="Find (Ctrl K)">
            <ActionIcon
              variant="subtle"
              color="gray"
              c="var(--el-dimmed)"
              aria-label="Find a page, a device or a command"
              onClick={() => setPalette(true)}
            >
              <IconSearch size={18} stroke={1.75} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="Keys">
            <ActionIcon
              variant="subtle"
              color="gray"
              c="var(--el-dimmed)"
              aria-label="Show keys"
              visibleFrom="sm"
              onClick={() => setSheet(true)}
            >
              <IconKeyboard size={18} stroke={1.75} />
            </ActionIcon>
          </Tooltip>
          <Account />
        </div>
      </header>
      <Navigation groups={groups} />
      <main className={classes.main} id="page" tabIndex={-1}>
        <Outlet />
      </main>
      <OnDemand when={sheet}>
        <KeySheet opened={sheet} onClose={() => setSheet(false)} />
      </OnDemand>
      <OnDemand when={palette}>
        <Palette
          commands={[
            ...places.map(({ to, word }) => ({
              word: `Go to ${word}`,
              act: () => void router.navigate({ to }),
            })),
            { word: 'New rollout', act: () => void router.navigate({ to: '/rollouts/new' }) },
            { word: 'Add a device', act: () => void router.navigate({ to: '/add-device' }) },
            { word: 'Show keys', act: () => setSheet(true) },
          ]}
          onClose={() => setPalette(false)}
        />
      </OnDemand>
      <Notifications position="bottom-right" />
    </div>
  )
}

/** Answers that an earlier page left unsent are sent, whichever page comes up first. */
function useUnsent(user: string): void {
  useEffect(() => {
    let unsent: string | null = null
    try {
      unsent = localStorage.getItem('edgeloop.labels.unsent')
    } catch {
      // Storage may be refused; then they go when somebody labels.
    }
    if (unsent === null) return
    void import('../labelling/outbox-here.ts').then(({ outboxOf }) => outboxOf(user))
  }, [user])
}

/** Ctrl+K (Command+K on a Mac), wherever one is and whatever has the focus. */
function usePaletteKey(open: () => void): void {
  const opened = useEffectEvent(open)
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key !== 'k' || !(event.ctrlKey || event.metaKey) || event.altKey) return
      event.preventDefault()
      opened()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [])
}

function Account() {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const queryClient = useQueryClient()
  const router = useRouter()
  const signOut = async () => {
    await call('signOut', {})
    await router.navigate({ to: '/sign-in', search: {} })
    queryClient.clear()
  }
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" c="var(--el-dimmed)" aria-label="Account">
          <IconUser size={18} stroke={1.75} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <bdi>{session.user}</bdi>, {session.role}
        </Menu.Label>
        <Menu.Item onClick={() => void router.navigate({ to: '/account' })}>Your account</Menu.Item>
        <Menu.Item onClick={() => void signOut()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
