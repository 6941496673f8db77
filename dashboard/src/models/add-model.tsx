/** Takes an ONNX file to the hub: what it is called, how it is fed and read, what its classes are. */
import type { CompilerShown, ModelVersion } from '@edgeloop/protocol'
import { Button, Group, Modal, NativeSelect, Progress, Textarea, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useRef, useState } from 'react'
import { call } from '../api/call.ts'
import { sayBytes, sayOf } from '../shell/say.ts'
import { labelsIn, layoutFrom, nameFrom } from './labels-text.ts'
import classes from './models.module.css'
import { uploadFile } from './upload.ts'

const labelWays = [
  { value: 'own', label: 'One name a line' },
  { value: 'coco', label: 'The 80 of COCO' },
  { value: 'none', label: 'None, or those of the layout' },
]

export function AddModel(props: {
  /** The file that was dropped or chosen; the dialog is open while there is one. */
  file: File | undefined
  compiler: CompilerShown
  onClose: () => void
  onAdded: (model: ModelVersion) => void
}) {
  return (
    <Modal
      opened={props.file !== undefined}
      onClose={props.onClose}
      title="Add a model"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {props.file && <Form {...props} file={props.file} key={props.file.name} />}
    </Modal>
  )
}

function Form(props: {
  file: File
  compiler: CompilerShown
  onClose: () => void
  onAdded: (model: ModelVersion) => void
}) {
  const { file, compiler } = props
  const [name, setName] = useState(nameFrom(file.name))
  const [layout, setLayout] = useState(
    layoutFrom(nameFrom(file.name), compiler.layouts) ?? compiler.layouts[0] ?? '',
  )
  const [way, setWay] = useState('own')
  const [labels, setLabels] = useState('')
  const [description, setDescription] = useState('')
  const [note, setNote] = useState('')
  const [share, setShare] = useState(0)
  const stop = useRef<AbortController>(undefined)
  const add = useMutation({
    mutationFn: async () => {
      stop.current = new AbortController()
      setShare(0)
      const uploadId = await uploadFile(file, { onProgress: setShare, signal: stop.current.signal })
      const given = way === 'coco' ? ('coco' as const) : way === 'own' ? labelsIn(labels) : []
      return await call('modelAdd', {
        body: {
          name,
          uploadId,
          layout,
          labels: given,
          note,
          ...(description.trim() === '' ? {} : { description }),
        },
      })
    },
    onSuccess: props.onAdded,
  })
  const wrong = name !== '' && !/^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$/.test(name)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    add.mutate()
  }
  const close = () => {
    stop.current?.abort()
    props.onClose()
  }
  return (
    <form onSubmit={submit} className={classes.form}>
      <p className="dim">
        <bdi>{file.name}</bdi>, {sayBytes(file.size)}
      </p>
      <TextInput
        label="Name"
        description="The next version of a name that is there, or a new one"
        value={name}
        onChange={(event) => setName(event.currentTarget.value.trim().toLowerCase())}
        error={wrong ? 'Lower case letters, digits and . _ - between them, at most 63' : undefined}
        maxLength={63}
        autoComplete="off"
        spellCheck={false}
        data-autofocus
      />
      <NativeSelect
        label="Layout"
        description="The family it belongs to: how it is fed and read"
        value={layout}
        data={compiler.layouts}
        onChange={(event) => setLayout(event.currentTarget.value)}
      />
      <NativeSelect
        label="Labels"
        value={way}
        data={labelWays}
        onChange={(event) => setWay(event.currentTarget.value)}
      />
      {way === 'own' && (
        <Textarea
          label="Names of the classes, in the order of the model’s outputs"
          description={sayOf(labelsIn(labels).length, 'name')}
          value={labels}
          onChange={(event) => setLabels(event.currentTarget.value)}
          rows={4}
          spellCheck={false}
        />
      )}
      <details>
        <summary>Where it differs from its layout</summary>
        <Textarea
          label="Description file (YAML)"
          placeholder={'strides: [16]\ninput:\n  std: 255'}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
          rows={5}
          maxLength={16_384}
          spellCheck={false}
        />
      </details>
      <TextInput
        label="Note"
        placeholder="trained on week 46"
        value={note}
        maxLength={500}
        onChange={(event) => setNote(event.currentTarget.value)}
      />
      {add.isPending && (
        <div role="status">
          <Progress value={share * 100} aria-label="Upload" />
          <span className="dim">
            {share < 1 ? `${Math.round(share * 100)} % sent` : 'The hub looks into the file'}
          </span>
        </div>
      )}
      {add.error && !stop.current?.signal.aborted && (
        <p className={classes.failed} role="alert">
          {add.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button type="submit" disabled={name === '' || wrong} loading={add.isPending}>
          Add the model
        </Button>
      </Group>
    </form>
  )
}
