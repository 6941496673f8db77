/** Asks how a dataset is split when it is frozen. */
import type { SplitRequest } from '@edgeloop/protocol'
import { Button, Group, Modal, NativeSelect, NumberInput, Switch, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { jobListQuery } from '../models/model-queries.ts'
import { sayOf } from '../shell/say.ts'
import { subjectOf } from './dataset-queries.ts'
import classes from './datasets.module.css'

type Unit = NonNullable<SplitRequest['by']> | ''

const units: readonly { value: Unit; label: string }[] = [
  { value: '', label: 'What is known of them' },
  { value: 'time', label: 'Stretches of time of a stream' },
  { value: 'stream', label: 'All of a stream' },
  { value: 'sample', label: 'Nothing: each picture by itself' },
]

export function Freeze(props: {
  dataset: string
  samples: number
  onClose: () => void
  onQueued: () => void
}) {
  const { dataset } = props
  const queryClient = useQueryClient()
  const [way, setWay] = useState<'holdout' | 'folds'>('holdout')
  const [test, setTest] = useState(20)
  const [validation, setValidation] = useState(0)
  const [folds, setFolds] = useState(5)
  const [by, setBy] = useState<Unit>('')
  const [stratify, setStratify] = useState(true)
  const [seed, setSeed] = useState(1)
  const [note, setNote] = useState('')
  const freeze = useMutation({
    mutationFn: () =>
      call('datasetFreeze', {
        params: { dataset },
        body: {
          split: {
            ...(way === 'folds'
              ? { folds }
              : { holdout: test / 100, validation: validation / 100 }),
            ...(by !== '' && { by }),
            stratify,
            seed,
          },
          note,
        },
      }),
    onSuccess: () => {
      void queryClient.invalidateQueries(jobListQuery(subjectOf(dataset)))
      props.onQueued()
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    freeze.mutate()
  }
  return (
    <Modal
      opened
      onClose={props.onClose}
      title={`Freeze ${dataset}`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form onSubmit={submit} className={classes.form}>
        <p className="dim">
          {sayOf(props.samples, 'sample')} as they are now become a version that never changes.
        </p>
        <NativeSelect
          label="Split"
          value={way}
          data={[
            { value: 'holdout', label: 'One test set' },
            { value: 'folds', label: 'Folds: each is the test once' },
          ]}
          onChange={(event) => setWay(event.currentTarget.value as 'holdout' | 'folds')}
        />
        {way === 'holdout' ? (
          <Group gap={12} grow align="flex-start">
            <NumberInput
              label="Test, %"
              value={test}
              min={1}
              max={90}
              clampBehavior="strict"
              onChange={(value) => setTest(Number(value) || 20)}
            />
            <NumberInput
              label="Validation, % of the rest"
              value={validation}
              min={0}
              max={90}
              clampBehavior="strict"
              onChange={(value) => setValidation(Number(value) || 0)}
            />
          </Group>
        ) : (
          <NumberInput
            label="Folds"
            value={folds}
            min={2}
            max={20}
            clampBehavior="strict"
            onChange={(value) => setFolds(Number(value) || 5)}
          />
        )}
        <NativeSelect
          label="What stays together"
          description="Pictures a moment apart look alike: on both sides they would flatter the model"
          value={by}
          data={[...units]}
          onChange={(event) => setBy(event.currentTarget.value as Unit)}
        />
        <Switch
          label="Every label has its share on each side"
          checked={stratify}
          onChange={(event) => setStratify(event.currentTarget.checked)}
        />
        <NumberInput
          label="Seed"
          description="The same seed splits the same"
          value={seed}
          min={0}
          max={2 ** 31 - 1}
          clampBehavior="strict"
          onChange={(value) => setSeed(Number(value) || 0)}
        />
        <TextInput
          label="Note"
          value={note}
          maxLength={500}
          onChange={(event) => setNote(event.currentTarget.value)}
        />
        {freeze.error && (
          <p className={classes.failed} role="alert">
            {freeze.error.message}
          </p>
        )}
        <Group justify="flex-end" gap={8}>
          <Button variant="default" onClick={props.onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={freeze.isPending}>
            Freeze
          </Button>
        </Group>
      </form>
    </Modal>
  )
}
