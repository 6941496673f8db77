/** Sends an archive or a folder to the hub and lets it take it into a dataset. */
import { datasetArchiveBytesMax, datasetFormats } from '@edgeloop/protocol'
import { Button, Group, NativeSelect, Progress } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useRef, useState } from 'react'
import { call } from '../api/call.ts'
import { uploadFile } from '../models/upload.ts'
import { sayBytes } from '../shell/say.ts'
import { ChooseSource } from './choose-source.tsx'
import classes from './datasets.module.css'
import type { Dropped } from './dropped.ts'
import { formatWords } from './format-words.ts'

/**
 * @param before done first: a dataset that is made
 * @param needed an archive must be given
 */
export function ImportForm(props: {
  dropped: Dropped | undefined
  word: string
  needed: boolean
  disabled?: boolean
  before: () => Promise<string>
  onChosen?: (chosen: Dropped) => void
  onDone: (dataset: string) => void
  onClose: () => void
  children?: ReactNode
}) {
  const [chosen, setChosen] = useState(props.dropped)
  const [format, setFormat] = useState('')
  const [share, setShare] = useState<number>()
  const stop = useRef<AbortController>(undefined)
  const send = useMutation({
    mutationFn: async () => {
      stop.current = new AbortController()
      const { signal } = stop.current
      const size = chosen?.file.size ?? 0
      if (size > datasetArchiveBytesMax) {
        throw new Error(
          `Cannot send ${sayBytes(size)} from here, at most ${sayBytes(datasetArchiveBytesMax)}: use ./edgeloop dataset import`,
        )
      }
      const dataset = await props.before()
      if (!chosen) return dataset
      setShare(0)
      const uploadId = await uploadFile(chosen.file, { onProgress: setShare, signal })
      const found = datasetFormats.find((one) => one === format)
      await call('datasetImport', {
        params: { dataset },
        body: { uploadId, ...(found && { format: found }) },
      })
      return dataset
    },
    onSuccess: props.onDone,
    onError: () => setShare(undefined),
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    send.mutate()
  }
  const close = () => {
    stop.current?.abort()
    props.onClose()
  }
  return (
    <form onSubmit={submit} className={classes.form}>
      {props.children}
      <ChooseSource
        chosen={chosen}
        onChosen={(one) => {
          setChosen(one)
          props.onChosen?.(one)
        }}
      />
      {chosen && (
        <NativeSelect
          label="Format of the labels"
          value={format}
          data={[
            { value: '', label: 'Look for it' },
            ...datasetFormats.map((value) => ({ value, label: formatWords[value] })),
          ]}
          onChange={(event) => setFormat(event.currentTarget.value)}
        />
      )}
      {share !== undefined && (
        <div role="status">
          <Progress value={share * 100} aria-label="Upload" />
          <span className="dim">{Math.round(share * 100)} % sent</span>
        </div>
      )}
      {send.error && !stop.current?.signal.aborted && (
        <p className={classes.failed} role="alert">
          {send.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button
          type="submit"
          loading={send.isPending}
          disabled={props.disabled || (props.needed && !chosen)}
        >
          {props.word}
        </Button>
      </Group>
    </form>
  )
}
