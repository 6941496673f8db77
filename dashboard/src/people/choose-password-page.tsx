/** Where an invitation leads: its user chooses a password, and is in. */
import { passwordCharactersMax } from '@edgeloop/protocol'
import { Button } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link, useRouter } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call, isRefused } from '../api/call.ts'
import { Brand } from '../shell/brand.tsx'
import { usePageTitle } from '../shell/page.tsx'
import { blankPasswords, fitting, NewPassword } from './new-password.tsx'
import { sessionQuery } from './session.ts'
import classes from './sign-in-page.module.css'

const route = getRouteApi('/choose-password')

export function ChoosePasswordPage() {
  usePageTitle('Choose a password')
  const { user } = route.useSearch()
  const { linkToken } = route.useRouteContext()
  const router = useRouter()
  const queryClient = useQueryClient()
  // Taken out of the address when the page was loaded; a reload has lost it.
  const [token] = useState(linkToken)
  const [passwords, setPasswords] = useState(blankPasswords)
  const choose = useMutation({
    mutationFn: (body: { token: string; password: string }) => call('passwordChoose', { body }),
    onSuccess: (session) => {
      queryClient.clear()
      queryClient.setQueryData(sessionQuery.queryKey, session)
      void router.navigate({ to: '/' })
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (token !== undefined) choose.mutate({ token, password: passwords.first })
  }
  const used = choose.error !== null && isRefused(choose.error)

  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <Brand />
        <h1>Choose a password</h1>
        {token === undefined || used ? (
          <>
            <p className={classes.refused} role="alert">
              {used
                ? 'This link has expired or was already used. Each link works once.'
                : 'There is no link in this address: open the link that you were given once more.'}
            </p>
            <p>
              An admin can make a new one under People, or with{' '}
              <code>./edgeloop user link {user ?? 'USER'}</code>.
            </p>
            <Link to="/sign-in" search={{}}>
              Sign in with a password
            </Link>
          </>
        ) : (
          <form onSubmit={submit} className={classes.form}>
            {user && (
              <p>
                For the user <b>{user}</b>. Every session of this user ends.
              </p>
            )}
            {/* So that password managers know whose it is. */}
            <input type="hidden" autoComplete="username" value={user ?? ''} readOnly />
            <NewPassword
              value={passwords}
              onChange={setPasswords}
              maxLength={passwordCharactersMax}
            />
            {choose.error && (
              <p className={classes.refused} role="alert">
                {choose.error.message}
              </p>
            )}
            <Button type="submit" disabled={!fitting(passwords)} loading={choose.isPending}>
              Set the password and sign in
            </Button>
          </form>
        )}
      </div>
    </main>
  )
}
