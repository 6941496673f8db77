/** Marking events: told to the hub, seen at once wherever they are listed, and undone with one key. */

import type { MarkKind, StoredEvent } from '@edgeloop/protocol'
import { mayAct } from '@edgeloop/protocol'
import { notifications } from '@mantine/notifications'
import { type QueryClient, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { createContext, useContext, useMemo, useState } from 'react'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'
import { sessionQuery } from '../people/session.ts'
import { sayOf } from '../shell/say.ts'
import type { Loaded } from './arrivals.ts'
import { eventQuery } from './event-queries.ts'
import { type Act, type Marking, markWords, remember, withMarking } from './marks.ts'

export type Marks = {
  /** Who marks. */
  readonly user: string
  /** Why events cannot be marked, where they cannot. */
  readonly refused: string | undefined
  /** Acts that can be undone. */
  readonly undoable: number
  mark(eventIds: readonly number[], mark: MarkKind, set: boolean): Promise<void>
  undo(): Promise<void>
}

const nobody: Marks = {
  user: '',
  refused: 'Marks are not ready',
  undoable: 0,
  mark: async () => {},
  undo: async () => {},
}

export const MarksContext = createContext<Marks>(nobody)
export const useMarks = (): Marks => useContext(MarksContext)

/** The marks of one page; what others mark arrives by the change stream. */
export function useMarking(): Marks {
  const queryClient = useQueryClient()
  const { data: session } = useSuspenseQuery(sessionQuery)
  const [acts, setActs] = useState<readonly Act[]>([])
  useChanges((batch) => {
    for (const change of batch) if (change.kind === 'marked') patch(queryClient, change)
  })
  const { user } = session
  return useMemo(() => {
    const tell = async (act: Act): Promise<Act> => {
      const { changed, at } = await call('eventMark', {
        body: { eventIds: [...act.eventIds], mark: act.mark, set: act.set },
      })
      const mark = { mark: act.mark, user, at }
      patch(queryClient, { eventIds: changed, mark, set: act.set })
      return { ...act, eventIds: changed }
    }
    const failed = (error: unknown) =>
      notifications.show({
        color: 'bad',
        message: error instanceof Error ? error.message : `${error}`,
      })
    return {
      user,
      refused: mayAct(session.role, 'operator')
        ? undefined
        : 'Only an operator or admin can mark events',
      undoable: acts.length,
      mark: async (eventIds, mark, set) => {
        try {
          const act = await tell({ eventIds, mark, set })
          setActs((before) => remember(before, act))
          if (eventIds.length > 1) {
            const count = sayOf(act.eventIds.length, 'event')
            notifications.show({ message: `${count} ${markWords[mark].verb}; u takes that back` })
          }
        } catch (error) {
          failed(error)
        }
      },
      undo: async () => {
        const last = acts.at(-1)
        if (!last) return
        try {
          const undone = await tell({ ...last, set: !last.set })
          setActs((before) => before.filter((act) => act !== last))
          notifications.show({ message: `Taken back on ${sayOf(undone.eventIds.length, 'event')}` })
        } catch (error) {
          failed(error)
        }
      },
    }
  }, [acts, queryClient, session.role, user])
}

/** Puts a marking into everything that is cached. */
function patch(queryClient: QueryClient, marking: Marking): void {
  queryClient.setQueriesData<Loaded>({ queryKey: ['events'] }, (loaded) => {
    if (!loaded?.pages) return loaded
    let touched = false
    const pages = loaded.pages.map((page) => {
      const events = page.events.map((event) => withMarking(event, marking))
      if (events.every((event, index) => event === page.events[index])) return page
      touched = true
      return { ...page, events }
    })
    return touched ? { ...loaded, pages } : loaded
  })
  for (const eventId of marking.eventIds) {
    queryClient.setQueryData(
      eventQuery(eventId).queryKey,
      (event: StoredEvent | undefined) => event && withMarking(event, marking),
    )
  }
}
