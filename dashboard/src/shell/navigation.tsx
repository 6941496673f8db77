/**
 * The way to every place, in groups. Beside the page all of it is seen at once; on a phone there is a button for
 * each group, and what is in it opens above the bar.
 */
import { useClickOutside } from '@mantine/hooks'
import {
  IconBell,
  IconChartLine,
  IconCube,
  IconEye,
  IconHistory,
  IconHome,
  IconLayoutGrid,
  IconPhoto,
  IconPhotoDown,
  IconRepeat,
  IconSchool,
  IconSend,
  IconServer2,
  IconShieldLock,
  IconTags,
  IconTruckDelivery,
  IconUsers,
  IconWaveSine,
} from '@tabler/icons-react'
import { Link, useRouterState } from '@tanstack/react-router'
import { type FocusEvent, type KeyboardEvent, useId, useRef, useState } from 'react'
import classes from './navigation.module.css'
import type { Group } from './places.ts'

type To = Group['places'][number]['to']

const placeIcons: Readonly<Record<To, typeof IconHome>> = {
  '/': IconHome,
  '/live': IconLayoutGrid,
  '/events': IconBell,
  '/drift': IconWaveSine,
  '/rules': IconSend,
  '/devices': IconServer2,
  '/rollouts': IconTruckDelivery,
  '/samples': IconPhotoDown,
  '/label': IconTags,
  '/datasets': IconPhoto,
  '/runs': IconChartLine,
  '/models': IconCube,
  '/pipelines': IconRepeat,
  '/people': IconUsers,
  '/audit': IconHistory,
}

const groupIcons: Readonly<Record<Exclude<Group['word'], 'Home'>, typeof IconHome>> = {
  Watch: IconEye,
  Fleet: IconServer2,
  Learn: IconSchool,
  Admin: IconShieldLock,
}

export function Navigation({ groups }: { groups: readonly Group[] }) {
  const [opened, setOpened] = useState<string>()
  const close = () => setOpened(undefined)
  const nav = useClickOutside(close)
  const left = ({ currentTarget, relatedTarget }: FocusEvent) => {
    if (relatedTarget !== null && !currentTarget.contains(relatedTarget)) close()
  }
  return (
    <nav ref={nav} className={classes.nav} aria-label="Main" onBlur={left}>
      {groups.map((group) =>
        group.word === 'Home' ? (
          <PlaceLink key={group.word} {...group.places[0]} onGone={close} />
        ) : (
          <GroupOfPlaces
            key={group.word}
            group={group}
            isOpen={opened === group.word}
            onToggle={() => setOpened(opened === group.word ? undefined : group.word)}
            onClose={close}
          />
        ),
      )}
    </nav>
  )
}

function GroupOfPlaces(props: {
  group: Exclude<Group, { word: 'Home' }>
  isOpen: boolean
  onToggle: () => void
  onClose: () => void
}) {
  const { group, isOpen, onToggle, onClose } = props
  const button = useRef<HTMLButtonElement>(null)
  const listId = useId()
  const Icon = groupIcons[group.word]
  const isHere = useRouterState({
    select: ({ location }) =>
      group.places.some(
        ({ to }) => location.pathname === to || location.pathname.startsWith(`${to}/`),
      ),
  })
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !isOpen) return
    onClose()
    button.current?.focus()
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape closes it, wherever in it one is
    <div className={classes.group} onKeyDown={pressed}>
      <button
        ref={button}
        type="button"
        className={classes.opener}
        aria-expanded={isOpen}
        aria-controls={listId}
        data-here={isHere}
        onClick={onToggle}
      >
        <Icon size={18} stroke={1.75} aria-hidden />
        <span>{group.word}</span>
      </button>
      <p className={classes.word} aria-hidden>
        {group.word}
      </p>
      <ul id={listId} className={classes.places} aria-label={group.word} data-open={isOpen}>
        {group.places.map((place) => (
          <li key={place.to}>
            <PlaceLink {...place} onGone={onClose} />
          </li>
        ))}
      </ul>
    </div>
  )
}

function PlaceLink({ to, word, onGone }: { to: To; word: string; onGone: () => void }) {
  const Icon = placeIcons[to]
  return (
    <Link
      to={to}
      className={classes.place ?? ''}
      activeOptions={{ exact: to === '/', includeSearch: false }}
      activeProps={{ 'aria-current': 'page' }}
      onClick={onGone}
    >
      <Icon size={18} stroke={1.75} aria-hidden />
      <span>{word}</span>
    </Link>
  )
}
