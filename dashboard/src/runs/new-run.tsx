/** Asks for a run: on which frozen dataset, from which model, with which recipe. */
import type { Run, TrainerShown } from '@edgeloop/protocol'
import {
  Autocomplete,
  Button,
  Checkbox,
  Group,
  Modal,
  NativeSelect,
  NumberInput,
  Textarea,
  TextInput,
} from '@mantine/core'
import { queryOptions, useMutation, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { modelListQuery } from '../models/model-queries.ts'
import { sayCount } from '../shell/say.ts'
import classes from './runs.module.css'
import { type Settings, settingsIn, settingsText } from './settings-text.ts'

export const datasetNamesQuery = queryOptions({
  queryKey: ['datasets', 'names'],
  queryFn: ({ signal }) => call('datasetList', { signal }),
})

const versionsQuery = (dataset: string) =>
  queryOptions({
    queryKey: ['datasets', dataset, 'versions'],
    queryFn: ({ signal }) => call('datasetVersionList', { params: { dataset }, signal }),
    enabled: dataset !== '',
  })

export function NewRun(props: {
  opened: boolean
  trainer: TrainerShown
  onClose: () => void
  onAdded: (run: Run) => void
}) {
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title="Train a model"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {props.opened && <Form {...props} />}
    </Modal>
  )
}

function Form(props: { trainer: TrainerShown; onClose: () => void; onAdded: (run: Run) => void }) {
  const { data: datasets = [] } = useQuery(datasetNamesQuery)
  const { data: models = [] } = useQuery(modelListQuery)
  const frozen = datasets.filter(({ versions }) => versions > 0)
  const [chosen, setDataset] = useState('')
  const dataset = chosen || (frozen[0]?.name ?? '')
  const { data: versions = [] } = useQuery(versionsQuery(dataset))
  const [picked, setVersion] = useState('')
  const version = versions.find((one) => `${one.version}` === picked) ?? versions[0]
  const [fold, setFold] = useState('0')
  const [parent, setParent] = useState('')
  const [model, setModel] = useState('')
  const [settings, setSettings] = useState('')
  const [seed, setSeed] = useState(1)
  const [note, setNote] = useState('')
  const [compile, setCompile] = useState(false)
  const [teacher, setTeacher] = useState('')
  const [external, setExternal] = useState(false)
  const read = settingsIn(settings)
  const parents = [
    ...models.flatMap(({ newest, champion }) => {
      const best = champion ?? newest.version
      return [...new Set([best, newest.version])].map((one) => `${newest.name}/${one}`)
    }),
    ...props.trainer.builders.map((name) => `new:${name}`),
  ]
  const add = useMutation({
    mutationFn: () =>
      call('runAdd', {
        body: {
          dataset: { name: dataset, version: version?.version ?? 0 },
          ...(version && version.folds.length > 1 ? { fold: Number(fold) } : {}),
          parent: parent.trim(),
          ...(model.trim() === '' ? {} : { model: model.trim() }),
          ...('settings' in read ? { recipe: { ...read.settings } } : {}),
          ...(note.trim() === '' ? {} : { note: note.trim() }),
          ...(compile ? { compile: {} } : {}),
          ...(teacher.trim() === '' ? {} : { teacher: teacher.trim() }),
          ...(external ? { external } : {}),
          seed,
        },
      }),
    onSuccess: props.onAdded,
  })
  if (frozen.length === 0) {
    return (
      <div className={classes.form}>
        <p>
          A run needs a frozen version of a dataset, and there is none yet. Freeze one on the page
          of a dataset.
        </p>
        <Group justify="flex-end">
          <Button variant="default" onClick={props.onClose}>
            Close
          </Button>
        </Group>
      </div>
    )
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    add.mutate()
  }
  const sayVersion = (one: (typeof versions)[number]): string => {
    const { train = 0, validation = 0, test = 0 } = one.folds[0] ?? {}
    return `${one.version}: ${sayCount(train)} to train, ${sayCount(validation)} to choose, ${sayCount(test)} to test`
  }
  return (
    <form onSubmit={submit} className={classes.form}>
      <NativeSelect
        label="Dataset"
        value={dataset}
        data={frozen.map(({ name }) => name)}
        onChange={(event) => {
          setDataset(event.currentTarget.value)
          setVersion('')
        }}
      />
      <NativeSelect
        label="Frozen version"
        value={version ? `${version.version}` : ''}
        data={versions.map((one) => ({ value: `${one.version}`, label: sayVersion(one) }))}
        onChange={(event) => setVersion(event.currentTarget.value)}
      />
      {version && version.folds.length > 1 && (
        <NativeSelect
          label="Fold that is the test"
          value={fold}
          data={version.folds.map((_, i) => `${i}`)}
          onChange={(event) => setFold(event.currentTarget.value)}
        />
      )}
      <Autocomplete
        label="From"
        description="A model version that learns further, or a new net"
        placeholder="new:mnist-cnn"
        value={parent}
        data={parents}
        onChange={setParent}
        maxLength={260}
        required
        data-autofocus
      />
      <TextInput
        label="Becomes a version of"
        description="The same model where left empty"
        value={model}
        onChange={(event) => setModel(event.currentTarget.value.toLowerCase())}
        maxLength={63}
        spellCheck={false}
      />
      <Textarea
        label="Recipe"
        description="What is to be other than usual, one KEY=VALUE a line"
        placeholder={'epochs=5\noptimizer.learningRate=0.001'}
        value={settings}
        onChange={(event) => setSettings(event.currentTarget.value)}
        rows={4}
        spellCheck={false}
        error={'problem' in read ? read.problem : undefined}
      />
      {dataset !== '' && !('problem' in read) && (
        <Link
          to="/datasets/$dataset/augmentation"
          params={{ dataset }}
          search={augmentSearch(read.settings)}
          target="_blank"
        >
          See what its augmentation makes of pictures
        </Link>
      )}
      <NumberInput
        label="Seed"
        value={seed}
        min={0}
        max={4_294_967_295}
        allowDecimal={false}
        onChange={(value) => setSeed(typeof value === 'number' ? value : 1)}
      />
      <TextInput
        label="Note"
        value={note}
        maxLength={500}
        onChange={(event) => setNote(event.currentTarget.value)}
      />
      <Autocomplete
        label="Teacher"
        description="A model version that compress.distill follows; none where left empty"
        value={teacher}
        data={parents.filter((one) => !one.startsWith('new:'))}
        onChange={setTeacher}
        maxLength={70}
      />
      {props.trainer.external !== '' && (
        <Checkbox
          label={
            props.trainer.external === 'job'
              ? 'Order it as a Kubernetes Job'
              : 'Let the external trainer take the steps'
          }
          checked={external}
          onChange={(event) => setExternal(event.currentTarget.checked)}
        />
      )}
      <Checkbox
        label="Compile it for this machine when it becomes the champion"
        checked={compile}
        onChange={(event) => setCompile(event.currentTarget.checked)}
      />
      {add.error && (
        <p className={classes.failed} role="alert">
          {add.error.message}
        </p>
      )}
      <Group justify="flex-end" gap={8}>
        <Button variant="default" onClick={props.onClose}>
          Cancel
        </Button>
        <Button
          type="submit"
          loading={add.isPending}
          disabled={!version || parent.trim() === '' || 'problem' in read}
        >
          Train
        </Button>
      </Group>
    </form>
  )
}

/** The address of a preview: the augmentation of a recipe, or the usual one where it says nothing of it. */
const augmentSearch = ({ augment }: Settings): { augment?: string } =>
  typeof augment === 'object' && augment !== null
    ? { augment: settingsText(augment as Settings) }
    : {}
