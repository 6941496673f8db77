/** Who may use this hub: accounts, where they are signed in, and the tokens of programs. For admins. */
import type { OneTimeLink } from '@edgeloop/protocol'
import { Modal } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useState } from 'react'
import { NewButton } from '../shell/new-button.tsx'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayOf } from '../shell/say.ts'
import { AddUser, PasswordLink } from './add-user.tsx'
import { ApiTokens } from './api-tokens.tsx'
import classes from './people.module.css'
import { sessionListQuery, userListQuery } from './people-queries.ts'
import { sessionQuery } from './session.ts'
import { SessionTable } from './session-table.tsx'
import { TableSkeleton } from './table-skeleton.tsx'
import { UserTable } from './user-table.tsx'

const route = getRouteApi('/in/people')

export function PeoplePage() {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const { user: shown } = route.useSearch()
  const navigate = route.useNavigate()
  const users = useQuery(userListQuery)
  const [adding, setAdding] = useState(false)
  const [link, setLink] = useState<OneTimeLink>()
  const mayLook = session.role === 'admin'
  return (
    <Page
      title="People"
      aside={
        <NewButton
          word="Add a user"
          refused={mayLook ? undefined : 'Only an admin can add users'}
          onClick={() => setAdding(true)}
        />
      }
    >
      <QueryState query={users} skeleton={<TableSkeleton rows={3} />}>
        {(rows) => (
          <>
            <section className={classes.section} aria-labelledby="users">
              <div className={classes.sectionHead}>
                <h2 id="users">{sayOf(rows.length, 'user')}</h2>
              </div>
              <UserTable
                users={rows}
                me={session.user}
                onSessions={(user) => void navigate({ search: { user } })}
                onLink={setLink}
                onFailed={(error) => notifications.show({ color: 'bad', message: error.message })}
              />
            </section>
            <ApiTokens session={session} />
          </>
        )}
      </QueryState>
      <Modal
        opened={mayLook && shown !== undefined}
        onClose={() => void navigate({ search: {} })}
        title={`Sessions of ${shown ?? ''}`}
        size="xl"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {shown !== undefined && <Sessions user={shown} />}
      </Modal>
      <AddUser opened={adding} onClose={() => setAdding(false)} onLink={setLink} />
      <PasswordLink link={link} onClose={() => setLink(undefined)} />
    </Page>
  )
}

function Sessions(props: { user: string }) {
  const query = useQuery(sessionListQuery(props.user))
  return (
    <QueryState query={query} skeleton={<TableSkeleton rows={2} />}>
      {(sessions) => <SessionTable sessions={sessions} />}
    </QueryState>
  )
}
