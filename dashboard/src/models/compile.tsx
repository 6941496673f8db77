/** Asks for a compilation: for which kind of box, how far it may go, with how many pictures. */
import {
  compileImages,
  type ModelVersion,
  type precisions as precisionList,
} from '@edgeloop/protocol'
import { Button, NativeSelect, NumberInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { compilerQuery, jobListQuery } from './model-queries.ts'
import classes from './models.module.css'

type Precision = (typeof precisionList)[number]

const precisionWords: readonly { value: Precision; label: string }[] = [
  { value: 'auto', label: 'The fastest that is right' },
  { value: 'fp32', label: 'fp32' },
  { value: 'fp16', label: 'fp16' },
  { value: 'int8-weights', label: 'int8 weights' },
  { value: 'int8', label: 'int8' },
  { value: 'int8-qoperator', label: 'int8, for ONNX Runtime only' },
  { value: 'int4-weights', label: 'int4 weights' },
]

export function Compile({ model }: { model: ModelVersion }) {
  const { name, version } = model
  const queryClient = useQueryClient()
  const { data: compiler } = useQuery(compilerQuery)
  const [target, setTarget] = useState('')
  const [precision, setPrecision] = useState<Precision>('auto')
  const [images, setImages] = useState(64)
  const compile = useMutation({
    mutationFn: () =>
      call('modelCompile', {
        params: { name, version },
        body: { precision, images, ...(target === '' ? {} : { target }) },
      }),
    onSuccess: () =>
      queryClient.invalidateQueries({ queryKey: jobListQuery(`${name}/${version}`).queryKey }),
  })
  if (!compiler?.available) return null
  const submit = (event: FormEvent) => {
    event.preventDefault()
    compile.mutate()
  }
  return (
    <form className={classes.compile} onSubmit={submit} aria-label="Compile">
      <NativeSelect
        label="Target"
        size="xs"
        value={target}
        onChange={(event) => setTarget(event.currentTarget.value)}
        data={[
          { value: '', label: 'This machine’s' },
          ...compiler.targets.map((one) => ({
            value: one.name,
            label: one.verified ? one.name : `${one.name} (unverified)`,
          })),
        ]}
      />
      <NativeSelect
        label="Precision"
        size="xs"
        value={precision}
        onChange={(event) => setPrecision(event.currentTarget.value as Precision)}
        data={[...precisionWords]}
      />
      <NumberInput
        label="Pictures of the fleet"
        size="xs"
        value={images}
        min={compileImages.min}
        max={compileImages.max}
        clampBehavior="strict"
        onChange={(value) => setImages(typeof value === 'number' ? value : 64)}
      />
      <Button size="xs" type="submit" loading={compile.isPending}>
        Compile
      </Button>
      {compile.error && (
        <p className={classes.failed} role="alert">
          {compile.error.message}
        </p>
      )}
    </form>
  )
}
