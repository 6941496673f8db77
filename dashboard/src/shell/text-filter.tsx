/** Parts of a filter that the address holds: typed, or picked from what there is. */
import { TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { useState } from 'react'

const typedMs = 300

/** Told once typing has paused. */
export function TextFilter(props: {
  name: string
  text: string | undefined
  onChange: (text: string | undefined) => void
}) {
  const [text, setText] = useState(props.text ?? '')
  const say = useDebouncedCallback(
    (value: string) => props.onChange(value.trim() || undefined),
    typedMs,
  )
  return (
    <TextInput
      size="xs"
      w={120}
      aria-label={props.name}
      placeholder={props.name}
      maxLength={100}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value)
        say(event.currentTarget.value)
      }}
    />
  )
}

/** A filter that names what is no longer there still shows itself. */
export const withCurrent = (
  choices: { value: string; label: string }[],
  current: string | undefined,
) =>
  current === undefined || choices.some(({ value }) => value === current)
    ? choices
    : [...choices, { value: current, label: current }]
