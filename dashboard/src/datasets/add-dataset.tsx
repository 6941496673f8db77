/** Makes a dataset, of what was dropped or empty. */
import { Modal, TextInput } from '@mantine/core'
import { useState } from 'react'
import { call } from '../api/call.ts'
import { nameFrom } from '../models/labels-text.ts'
import type { Dropped } from './dropped.ts'
import { ImportForm } from './import-form.tsx'

export function AddDataset(props: {
  dropped: Dropped | undefined
  onClose: () => void
  onAdded: (dataset: string) => void
}) {
  const [name, setName] = useState(nameFrom(props.dropped?.name ?? ''))
  const [description, setDescription] = useState('')
  const [made, setMade] = useState('')
  const wrong = name !== '' && !/^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$/.test(name)
  const add = async (): Promise<string> => {
    // The second try, after an upload that failed, finds the one that the first has made.
    if (made !== name) await call('datasetAdd', { body: { name, description } })
    setMade(name)
    return name
  }
  return (
    <Modal
      opened
      onClose={props.onClose}
      title="Add a dataset"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <ImportForm
        dropped={props.dropped}
        word="Add the dataset"
        needed={false}
        disabled={name === '' || wrong}
        before={add}
        onChosen={(chosen) => setName((known) => known || nameFrom(chosen.name))}
        onDone={props.onAdded}
        onClose={props.onClose}
      >
        <TextInput
          label="Name"
          value={name}
          onChange={(event) => setName(event.currentTarget.value.trim().toLowerCase())}
          error={
            wrong ? 'Lower case letters, digits and . _ - between them, at most 63' : undefined
          }
          maxLength={63}
          autoComplete="off"
          spellCheck={false}
          data-autofocus
        />
        <TextInput
          label="Description"
          value={description}
          maxLength={2000}
          onChange={(event) => setDescription(event.currentTarget.value)}
        />
      </ImportForm>
    </Modal>
  )
}
