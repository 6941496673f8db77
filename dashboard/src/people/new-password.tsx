/** A new password, typed twice; says what is missing while one types. */
import { passwordCharactersMin } from '@edgeloop/protocol'
import { PasswordInput } from '@mantine/core'

export type Passwords = { readonly first: string; readonly second: string }
export const blankPasswords: Passwords = { first: '', second: '' }

/** True where the hub would take it. */
export const fitting = ({ first, second }: Passwords): boolean =>
  missing(first) === 0 && first === second

const missing = (password: string): number =>
  Math.max(0, passwordCharactersMin - [...password.normalize('NFKC')].length)

export function NewPassword(props: {
  value: Passwords
  onChange: (value: Passwords) => void
  maxLength: number
}) {
  const { value, onChange } = props
  const short = missing(value.first)
  const differs = value.second !== '' && value.first !== value.second
  return (
    <>
      <PasswordInput
        label="New password"
        description={`At least ${passwordCharactersMin} characters; several words are good`}
        value={value.first}
        onChange={(event) => onChange({ ...value, first: event.currentTarget.value })}
        error={value.first !== '' && short > 0 ? `${short} more` : undefined}
        autoComplete="new-password"
        maxLength={props.maxLength}
      />
      <PasswordInput
        label="The same again"
        value={value.second}
        onChange={(event) => onChange({ ...value, second: event.currentTarget.value })}
        error={differs ? 'The two differ' : undefined}
        autoComplete="new-password"
        maxLength={props.maxLength}
      />
    </>
  )
}
