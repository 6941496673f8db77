/** Labels typed with commas between; told when the field is left, so that half a word is no label. */
import { TextInput } from '@mantine/core'
import { useState } from 'react'

export function LabelInput(props: {
  label: string
  description?: string
  /** What it means to name none; `All` where left out. */
  placeholder?: string
  /** Labels of the model that runs: others are allowed, and named as unknown. */
  known: readonly string[]
  value: readonly string[] | undefined
  onChange: (labels: string[] | undefined) => void
}) {
  const shown = (props.value ?? []).join(', ')
  const [typed, setTyped] = useState<{ of: string; text: string }>({ of: shown, text: shown })
  if (typed.of !== shown) setTyped({ of: shown, text: shown })
  const unknown = (props.value ?? []).filter((label) => !props.known.includes(label))
  const tell = () => {
    const labels = [
      ...new Set(
        typed.text
          .split(',')
          .map((label) => label.trim().slice(0, 100))
          .filter((label) => label !== ''),
      ),
    ]
    props.onChange(labels.length > 0 ? labels : undefined)
  }
  return (
    <TextInput
      size="xs"
      label={props.label}
      description={props.description}
      placeholder={props.placeholder ?? 'All'}
      value={typed.text}
      onChange={(event) => setTyped({ of: shown, text: event.currentTarget.value })}
      onBlur={tell}
      onKeyDown={(event) => {
        if (event.key !== 'Enter') return
        event.preventDefault()
        tell()
      }}
      error={
        props.known.length > 0 && unknown.length > 0
          ? `The model has no label ${unknown.join(', ')}`
          : undefined
      }
    />
  )
}
