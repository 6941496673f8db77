/** The door: what to do without a session, and what a used or expired link means. */
import { Button, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, useRouter } from '@tanstack/react-router'
import { type FormEvent, useEffect, useEffectEvent, useState } from 'react'
import { call, isRefused } from '../api/call.ts'
import { Brand } from '../shell/brand.tsx'
import { usePageTitle } from '../shell/page.tsx'
import { sessionQuery, tokenIn } from './session.ts'
import classes from './sign-in-page.module.css'

const route = getRouteApi('/sign-in')

export function SignInPage() {
  usePageTitle('Sign in')
  const { to, refused } = route.useSearch()
  const router = useRouter()
  const queryClient = useQueryClient()
  const [pasted, setPasted] = useState('')
  const goBack = () => router.history.replace(to ?? '/')

  const signIn = useMutation({
    mutationFn: (token: string) => call('signIn', { body: { token } }),
    onSuccess: (session) => {
      queryClient.setQueryData(sessionQuery.queryKey, session)
      goBack()
    },
  })

  // The link may have been opened in another tab meanwhile: then this one is signed in too.
  const lookAgain = useEffectEvent(async () => {
    const session = await queryClient
      .fetchQuery({ ...sessionQuery, staleTime: 0 })
      .catch(() => undefined)
    if (session) goBack()
  })
  useEffect(() => {
    const focused = () => void lookAgain()
    window.addEventListener('focus', focused)
    return () => window.removeEventListener('focus', focused)
  }, [])

  const token = tokenIn(pasted)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (token) signIn.mutate(token)
  }
  const refusal = signIn.error ? reasonOf(signIn.error) : refused && refusals[refused]

  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <Brand />
        <h1>Sign in</h1>
        {refusal && (
          <p className={classes.refused} role="alert">
            {refusal}
          </p>
        )}
        <p>
          Edgeloop signs you in with a one-time link. Make a new one on the machine that runs the
          hub:
        </p>
        <pre className={classes.command}>./edgeloop hub link</pre>
        <p className="dim">Then open the link here, or paste it:</p>
        <form onSubmit={submit} className={classes.form}>
          <TextInput
            label="Sign-in link"
            placeholder="http://localhost:…/?token=…"
            value={pasted}
            onChange={(event) => setPasted(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
            error={pasted.trim() !== '' && !token ? 'There is no token in this' : undefined}
          />
          <Button type="submit" disabled={!token} loading={signIn.isPending}>
            Sign in
          </Button>
        </form>
      </div>
    </main>
  )
}

/** What to tell somebody whose link did not work. */
const refusals = {
  used: 'This sign-in link has expired or was already used. Each link works once.',
  failed: 'The hub could not look at this sign-in link. Try a new one.',
} as const

const reasonOf = (error: Error): string => (isRefused(error) ? refusals.used : error.message)
