/** Everything one can go to, found by typing: pages, devices by name, views of the fleet. */
import { createSpotlight, Spotlight } from '@mantine/spotlight'
import '@mantine/spotlight/styles.css'
import { useQuery } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useEffect, useMemo, useState } from 'react'
import { deviceListQuery } from '../devices/device-queries.ts'
import { healthWords } from '../devices/device-status.ts'
import { arrange } from '../devices/fleet-view.ts'
import { readSavedViews, standardViews } from '../devices/saved-views.ts'
import classes from './palette.module.css'

export type Command = { readonly word: string; readonly act: () => void }

/** Devices that are listed for what was typed. */
const devicesMax = 8

const [store, spotlight] = createSpotlight()

/** @param commands of the shell: where one can go */
export function Palette(props: { commands: readonly Command[]; onClose: () => void }) {
  const router = useRouter()
  const [query, setQuery] = useState('')
  const { data: rows = [] } = useQuery(deviceListQuery)
  useEffect(() => {
    spotlight.open()
    return () => spotlight.close()
  }, [])
  const text = query.trim().toLowerCase()
  const found = useMemo(() => {
    if (text === '') return []
    const byId = new Map(rows.map((row) => [row.deviceId, row]))
    return arrange(rows, { q: text, sort: 'name' })
      .slice(0, devicesMax)
      .flatMap((id) => byId.get(id) ?? [])
  }, [rows, text])
  const fits = ({ word }: { word: string }) => word.toLowerCase().includes(text)
  const commands = props.commands.filter(fits)
  const views = [...readSavedViews(localStorage), ...standardViews]
    .map((saved) => ({ ...saved, word: `Devices: ${saved.name}` }))
    .filter(fits)

  return (
    <Spotlight.Root
      store={store}
      query={query}
      onQueryChange={setQuery}
      onSpotlightClose={props.onClose}
      shortcut={null}
      classNames={{ action: classes.action ?? '' }}
      attributes={{ content: { 'aria-label': 'Find' } }}
      scrollable
      maxHeight={400}
    >
      <Spotlight.Search placeholder="Go to…" aria-label="Find a page, a device or a command" />
      <Spotlight.ActionsList>
        {found.map((row) => (
          <Spotlight.Action
            key={row.deviceId}
            onClick={() =>
              void router.navigate({
                to: '/devices/$deviceId',
                params: { deviceId: row.deviceId },
              })
            }
          >
            <span className={classes.row}>
              <span className="clip">
                <bdi>{row.name}</bdi>
              </span>
              <span className="dim">
                {row.site}, {healthWords[row.health].word.toLowerCase()}
              </span>
            </span>
          </Spotlight.Action>
        ))}
        {commands.map(({ word, act }) => (
          <Spotlight.Action key={word} label={word} onClick={act} />
        ))}
        {views.map(({ name, word, view }) => (
          <Spotlight.Action
            key={name}
            label={word}
            onClick={() => void router.navigate({ to: '/devices', search: view })}
          />
        ))}
        {found.length + commands.length + views.length === 0 && (
          <Spotlight.Empty>Nothing fits</Spotlight.Empty>
        )}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  )
}
