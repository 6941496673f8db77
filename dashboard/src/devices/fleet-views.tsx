/** The views of the fleet as links: everybody's, and those that were given a name in this browser. */
import { Button, CloseButton, Menu, Popover, TextInput } from '@mantine/core'
import { IconBookmark, IconColumns3 } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import classes from './fleet-page.module.css'
import { type ColumnKey, columnKeys, columnsOf, type FleetView, withColumns } from './fleet-view.ts'
import {
  forgetView,
  readSavedViews,
  type SavedView,
  sameView,
  saveView,
  standardViews,
  viewNameMax,
} from './saved-views.ts'

export function FleetViews(props: { view: FleetView }) {
  const { view } = props
  const [saved, setSaved] = useState(() => readSavedViews(localStorage))
  const [name, setName] = useState('')
  const [opened, setOpened] = useState(false)
  const current = [...saved, ...standardViews].find((one) => sameView(one.view, view))
  const save = (event: FormEvent) => {
    event.preventDefault()
    if (name.trim() === '') return
    setSaved(saveView(localStorage, { name: name.trim(), view }))
    setName('')
  }
  const link = (one: SavedView) => (
    <Link
      to="/devices"
      search={one.view}
      className={`clip ${classes.viewLink}`}
      aria-current={one === current ? 'true' : undefined}
      onClick={() => setOpened(false)}
    >
      <bdi>{one.name}</bdi>
    </Link>
  )
  return (
    <Popover position="bottom-start" opened={opened} onChange={setOpened} trapFocus>
      <Popover.Target>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconBookmark size={14} aria-hidden />}
          className={classes.viewButton ?? ''}
          onClick={() => setOpened(!opened)}
        >
          <span className="clip">{current?.name ?? 'View: not saved'}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.views ?? ''} aria-label="Views">
        <ul>
          {standardViews.map((one) => (
            <li key={one.name}>{link(one)}</li>
          ))}
        </ul>
        {saved.length > 0 && <p className="dim">Saved in this browser</p>}
        <ul>
          {saved.map((one) => (
            <li key={one.name}>
              {link(one)}
              <CloseButton
                size="sm"
                aria-label={`Forget the view ${one.name}`}
                onClick={() => setSaved(forgetView(localStorage, one.name))}
              />
            </li>
          ))}
        </ul>
        <form onSubmit={save} className={classes.saveView}>
          <TextInput
            size="xs"
            aria-label="Name of this view"
            placeholder="Save this view as…"
            maxLength={viewNameMax}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button size="xs" variant="default" type="submit" disabled={name.trim() === ''}>
            Save
          </Button>
        </form>
      </Popover.Dropdown>
    </Popover>
  )
}

const columnWords: Record<ColumnKey, string> = {
  health: 'Health',
  site: 'Site',
  streams: 'Streams',
  fps: 'Analysed',
  cpu: 'CPU',
  memory: 'Memory',
  events: 'Events',
  seen: 'Last seen',
}

export function FleetColumns(props: {
  view: FleetView
  onColumns: (columns: Pick<FleetView, 'cols'>) => void
}) {
  const shown = columnsOf(props.view)
  return (
    <Menu position="bottom-end" closeOnItemClick={false}>
      <Menu.Target>
        <Button size="xs" variant="default" leftSection={<IconColumns3 size={14} aria-hidden />}>
          Columns
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {columnKeys.map((key) => {
          const on = shown.includes(key)
          const next = on ? shown.filter((other) => other !== key) : [...shown, key]
          return (
            <Menu.CheckboxItem
              key={key}
              checked={on}
              onChange={() => props.onColumns(withColumns(next))}
            >
              {columnWords[key]}
            </Menu.CheckboxItem>
          )
        })}
      </Menu.Dropdown>
    </Menu>
  )
}
