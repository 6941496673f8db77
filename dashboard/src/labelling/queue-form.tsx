/** What is asked in a queue: of which samples, into which dataset, of how many people. */
import type { LabelQueueConfig, LabelQueueRow } from '@edgeloop/protocol'
import { Button, Modal, NativeSelect, NumberInput, Switch, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { datasetListQuery } from '../datasets/dataset-queries.ts'
import { modelListQuery } from '../models/model-queries.ts'
import { queueListQuery } from './label-queries.ts'
import classes from './queues.module.css'

const namePattern = /^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$/

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

/** @param row the queue that is changed; a new one where left out */
export function QueueForm(props: {
  row?: LabelQueueRow
  onClose: () => void
  onDone: (queue: string) => void
}) {
  const { row } = props
  const given = row?.config
  const queryClient = useQueryClient()
  const { data: datasets = [] } = useQuery(datasetListQuery)
  const { data: models = [] } = useQuery(modelListQuery)
  const [name, setName] = useState(row?.name ?? '')
  const [chosen, setDataset] = useState(given?.dataset ?? '')
  const dataset = chosen || (datasets[0]?.name ?? '')
  const [fed, setFed] = useState(given?.models.join(', ') ?? '')
  const [streams, setStreams] = useState(given?.streams?.join(', ') ?? '')
  const [suggestBy, setSuggestBy] = useState(given?.suggestBy ?? '')
  const [teacher, setTeacher] = useState(given?.teacher ?? '')
  const [annotators, setAnnotators] = useState(given?.annotators ?? 1)
  const [review, setReview] = useState(given?.review ?? false)
  const [agreeIou, setAgreeIou] = useState(given?.agreeIou ?? 0.7)
  const [tasksMax, setTasksMax] = useState(given?.tasksMax ?? 5000)
  const put = useMutation({
    mutationFn: () => {
      const body: LabelQueueConfig = {
        ...given,
        dataset,
        models: listOf(fed),
        annotators,
        review,
        agreeIou,
        tasksMax,
      }
      if (listOf(streams).length > 0) body.streams = listOf(streams)
      else delete body.streams
      if (suggestBy) body.suggestBy = suggestBy
      else delete body.suggestBy
      if (teacher) body.teacher = teacher
      else delete body.teacher
      return call('queuePut', { params: { queue: name }, body })
    },
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: queueListQuery.queryKey })
      props.onDone(name)
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    put.mutate()
  }
  const wrong = name !== '' && !namePattern.test(name)
  const names = [...new Set(models.map(({ newest }) => newest.name))]
  const modelChoices = [
    { value: '', label: 'nobody' },
    ...names.map((value) => ({ value, label: value })),
  ]
  return (
    <Modal
      opened
      onClose={props.onClose}
      title={row ? `What is asked in ${row.name}` : 'New queue'}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form onSubmit={submit} className={classes.form}>
        {!row && (
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
        )}
        <NativeSelect
          label="Dataset"
          description={
            datasets.length === 0
              ? 'There is none yet: add one on the page Datasets, with its labels'
              : 'What is accepted goes into it; its labels are the classes'
          }
          value={dataset}
          disabled={row !== undefined}
          onChange={(event) => setDataset(event.currentTarget.value)}
          data={datasets.map((one) => one.name)}
        />
        <TextInput
          label="Samples of these models"
          description="Names with commas between; empty: only what is put in by hand"
          value={fed}
          onChange={(event) => setFed(event.currentTarget.value)}
          spellCheck={false}
        />
        <TextInput
          label="Only of these streams"
          description="As device/stream, with commas between; empty: all"
          value={streams}
          onChange={(event) => setStreams(event.currentTarget.value)}
          spellCheck={false}
        />
        <NativeSelect
          label="Suggestions of the champion of"
          value={suggestBy}
          onChange={(event) => setSuggestBy(event.currentTarget.value)}
          data={modelChoices}
        />
        <NativeSelect
          label="and of a larger teacher"
          value={teacher}
          onChange={(event) => setTeacher(event.currentTarget.value)}
          data={modelChoices}
        />
        <NumberInput
          label="People who answer each task"
          value={annotators}
          min={1}
          max={5}
          allowDecimal={false}
          onChange={(value) => setAnnotators(Number(value) || 1)}
        />
        {annotators > 1 && (
          <NumberInput
            label="Two boxes are the same from this overlap (IoU) on"
            value={agreeIou}
            min={0.1}
            max={0.95}
            step={0.05}
            decimalScale={2}
            onChange={(value) => setAgreeIou(Number(value) || 0.7)}
          />
        )}
        <Switch
          label="A further person reviews every answer"
          checked={review}
          onChange={(event) => setReview(event.currentTarget.checked)}
        />
        <NumberInput
          label="Tasks that wait at most; the least useful give way"
          value={tasksMax}
          min={1}
          max={100_000}
          allowDecimal={false}
          thousandSeparator=","
          onChange={(value) => setTasksMax(Number(value) || 5000)}
        />
        {put.error && (
          <p className={classes.failed} role="alert">
            {put.error.message}
          </p>
        )}
        <Button
          type="submit"
          disabled={name === '' || wrong || dataset === ''}
          loading={put.isPending}
        >
          {row ? 'Save' : 'Make the queue'}
        </Button>
      </form>
    </Modal>
  )
}
