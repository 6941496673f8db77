/** Adds an account, and shows the link by which its user chooses a password. */
import { type OneTimeLink, type Role, roles } from '@edgeloop/protocol'
import { Button, Modal, NativeSelect, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { sayMoment } from '../shell/say.ts'
import classes from './people.module.css'
import { peopleKey } from './people-queries.ts'
import { Secret } from './secret.tsx'

const roleWords: Readonly<Record<Role, string>> = {
  viewer: 'viewer: looks at everything',
  operator: 'operator: also changes devices and streams',
  admin: 'admin: also adds devices and people',
}

export function AddUser(props: {
  opened: boolean
  onClose: () => void
  onLink: (link: OneTimeLink) => void
}) {
  const queryClient = useQueryClient()
  const [user, setUser] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const add = useMutation({
    mutationFn: () => call('userAdd', { body: { user, role } }),
    onSuccess: (link) => {
      void queryClient.invalidateQueries({ queryKey: peopleKey })
      close()
      props.onLink(link)
    },
  })
  const close = () => {
    add.reset()
    setUser('')
    setRole('viewer')
    props.onClose()
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    add.mutate()
  }
  const wrong = user !== '' && !/^[a-z0-9][a-z0-9._@+-]{0,62}$/.test(user)
  return (
    <Modal
      opened={props.opened}
      onClose={close}
      title="Add a user"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form onSubmit={submit} className={classes.form}>
        <TextInput
          label="User"
          description="A name or an e-mail address"
          value={user}
          onChange={(event) => setUser(event.currentTarget.value.trim().toLowerCase())}
          error={wrong ? 'Only letters, digits and . _ @ + -, at most 63' : undefined}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          maxLength={63}
          data-autofocus
        />
        <NativeSelect
          label="Role"
          value={role}
          onChange={(event) => setRole(event.currentTarget.value as Role)}
          data={roles.map((value) => ({ value, label: roleWords[value] }))}
        />
        {add.error && (
          <p className={classes.failed} role="alert">
            {add.error.message}
          </p>
        )}
        <Button type="submit" disabled={user === '' || wrong} loading={add.isPending}>
          Add the user and make a link
        </Button>
      </form>
    </Modal>
  )
}

/** A password link, to be given to its user by whatever way is safe. */
export function PasswordLink(props: { link: OneTimeLink | undefined; onClose: () => void }) {
  const { link } = props
  return (
    <Modal
      opened={link !== undefined}
      onClose={props.onClose}
      title="Password link"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {link && (
        <div className={classes.form}>
          <p>
            Give this link to <b>{link.user}</b>. Whoever opens it chooses the password of this
            user. It works once, until {sayMoment(Date.parse(link.expiresAt))}, and is shown only
            here.
          </p>
          <Secret
            what="link"
            value={`${location.origin}/choose-password?user=${encodeURIComponent(link.user)}#token=${link.token}`}
          />
        </div>
      )}
    </Modal>
  )
}
