/** What everybody can see to by themselves: password, sessions, API tokens. */
import { passwordCharactersMax, type Session } from '@edgeloop/protocol'
import { Button, PasswordInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { Page } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { ApiTokens } from './api-tokens.tsx'
import { blankPasswords, fitting, NewPassword } from './new-password.tsx'
import classes from './people.module.css'
import { peopleKey, sessionListQuery } from './people-queries.ts'
import { sessionQuery } from './session.ts'
import { SessionTable } from './session-table.tsx'
import { TableSkeleton } from './table-skeleton.tsx'

export function AccountPage() {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const sessions = useQuery(sessionListQuery())
  return (
    <Page
      title="Your account"
      aside={<span className="dim">{`${session.user}, ${session.role}`}</span>}
    >
      <section className={classes.section} aria-labelledby="sessions">
        <div className={classes.sectionHead}>
          <h2 id="sessions">Where you are signed in</h2>
        </div>
        <QueryState query={sessions} skeleton={<TableSkeleton rows={2} />}>
          {(rows) => <SessionTable sessions={rows} />}
        </QueryState>
      </section>
      <ChangePassword session={session} />
      <ApiTokens session={session} only={session.user} />
    </Page>
  )
}

function ChangePassword(props: { session: Session }) {
  const queryClient = useQueryClient()
  const [current, setCurrent] = useState('')
  const [passwords, setPasswords] = useState(blankPasswords)
  const change = useMutation({
    mutationFn: () =>
      call('passwordChange', {
        body: { password: passwords.first, ...(current === '' ? {} : { current }) },
      }),
    onSuccess: (session) => {
      queryClient.setQueryData(sessionQuery.queryKey, session)
      void queryClient.invalidateQueries({ queryKey: peopleKey })
      setCurrent('')
      setPasswords(blankPasswords)
      notifications.show({ message: 'The password is changed; your other sessions have ended' })
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    change.mutate()
  }
  return (
    <section className={classes.section} aria-labelledby="password">
      <div className={classes.sectionHead}>
        <h2 id="password">Change the password</h2>
      </div>
      <form onSubmit={submit} className={`${classes.form} ${classes.narrow}`}>
        <input type="hidden" autoComplete="username" value={props.session.user} readOnly />
        <PasswordInput
          label="Current password"
          description="Leave it empty where you have none yet"
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
          autoComplete="current-password"
          maxLength={passwordCharactersMax}
        />
        <NewPassword value={passwords} onChange={setPasswords} maxLength={passwordCharactersMax} />
        {change.error && (
          <p className={classes.failed} role="alert">
            {change.error.message}
          </p>
        )}
        <Button type="submit" disabled={!fitting(passwords)} loading={change.isPending}>
          Change it and end my other sessions
        </Button>
      </form>
    </section>
  )
}
