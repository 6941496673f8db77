/** The door: user and password, or a one-time link, and what a used or expired link means. */
import { CallFailed } from '@edgeloop/protocol'
import { Button, PasswordInput, TextInput } from '@mantine/core'
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
  const goBack = () => router.history.replace(to ?? '/')

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

  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <Brand />
        <h1>Sign in</h1>
        {refused && <Refused text={linkRefusals[refused]} />}
        <WithPassword onSignedIn={goBack} />
        <hr className={classes.line} />
        <WithLink onSignedIn={goBack} />
      </div>
    </main>
  )
}

function WithPassword(props: { onSignedIn: () => void }) {
  const queryClient = useQueryClient()
  const [user, setUser] = useState('')
  const [password, setPassword] = useState('')
  const signIn = useMutation({
    mutationFn: () => call('passwordSignIn', { body: { user, password } }),
    onSuccess: (session) => {
      queryClient.setQueryData(sessionQuery.queryKey, session)
      props.onSignedIn()
    },
    onError: () => setPassword(''),
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    signIn.mutate()
  }
  return (
    <form onSubmit={submit} className={classes.form}>
      {signIn.error && <Refused text={passwordRefusal(signIn.error)} />}
      <TextInput
        label="User"
        value={user}
        onChange={(event) => setUser(event.currentTarget.value)}
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        maxLength={63}
        data-autofocus
      />
      <PasswordInput
        label="Password"
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
        autoComplete="current-password"
        maxLength={256}
      />
      <Button type="submit" disabled={user === '' || password === ''} loading={signIn.isPending}>
        Sign in
      </Button>
      <p className="dim">Lost the password? An admin can make you a link to choose a new one.</p>
    </form>
  )
}

function WithLink(props: { onSignedIn: () => void }) {
  const queryClient = useQueryClient()
  const [pasted, setPasted] = useState('')
  const signIn = useMutation({
    mutationFn: (token: string) => call('signIn', { body: { token } }),
    onSuccess: (session) => {
      queryClient.setQueryData(sessionQuery.queryKey, session)
      props.onSignedIn()
    },
  })
  const token = tokenIn(pasted)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (token) signIn.mutate(token)
  }
  return (
    <form onSubmit={submit} className={classes.form}>
      <p>Without a password yet? On the machine that runs the hub, make a one-time link:</p>
      <pre className={classes.command}>./edgeloop hub link</pre>
      {signIn.error && (
        <Refused text={isRefused(signIn.error) ? linkRefusals.used : signIn.error.message} />
      )}
      <TextInput
        label="Sign-in link"
        placeholder="http://localhost:…/#token=…"
        value={pasted}
        onChange={(event) => setPasted(event.currentTarget.value)}
        autoComplete="off"
        spellCheck={false}
        error={pasted.trim() !== '' && !token ? 'There is no token in this' : undefined}
      />
      <Button type="submit" variant="default" disabled={!token} loading={signIn.isPending}>
        Use the link
      </Button>
    </form>
  )
}

function Refused(props: { text: string }) {
  return (
    <p className={classes.refused} role="alert">
      {props.text}
    </p>
  )
}

/** What to tell somebody whose link did not work. */
const linkRefusals = {
  used: 'This sign-in link has expired or was already used. Each link works once.',
  failed: 'The hub could not look at this sign-in link. Try a new one.',
} as const

function passwordRefusal(error: Error): string {
  if (isRefused(error)) return 'The user name or the password is wrong.'
  if (error instanceof CallFailed && error.code === 'tooManyRequests') {
    return `${error.message}. Too many tries have failed.`
  }
  return error.message
}
