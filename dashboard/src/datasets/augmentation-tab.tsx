/** What an augmentation makes of the pictures of this dataset: looked at before a run learns from it. */
import { Button, NumberInput, Skeleton, Textarea } from '@mantine/core'
import { IconPhoto } from '@tabler/icons-react'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { settingsIn } from '../runs/settings-text.ts'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { augmentationQuery } from './dataset-queries.ts'
import classes from './datasets.module.css'
import { SamplePicture, sayAnnotations } from './sample-picture.tsx'

const parent = getRouteApi('/in/datasets/$dataset')
const route = getRouteApi('/in/datasets/$dataset/augmentation')

/** What is shown where the address says nothing: the usual ones for objects of any kind. */
export const usualAugmentation =
  'flip=0.5\nscale=[0.7, 1.3]\nshift=0.1\nbrightness=0.2\ncontrast=0.2\nmosaic=0.5'

export function AugmentationTab() {
  const { dataset } = parent.useParams()
  const { seed = 1, augment = usualAugmentation } = route.useSearch()
  const navigate = route.useNavigate()
  const [text, setText] = useState(augment)
  const [asked, setAsked] = useState(seed)
  const read = settingsIn(augment)
  const settings = 'settings' in read ? JSON.stringify(read.settings) : '{}'
  const query = useQuery({
    ...augmentationQuery(dataset, settings, seed),
    enabled: 'settings' in read,
    placeholderData: keepPreviousData,
  })
  const draft = settingsIn(text)
  const show = (next: number) => {
    setAsked(next)
    void navigate({ search: { seed: next, augment: text }, replace: true })
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    show(asked)
  }
  return (
    <div className={classes.augmentation}>
      <form className={classes.form} onSubmit={submit}>
        <Textarea
          label="Augmentation"
          description="As augment.KEY=VALUE of a recipe says it, one KEY=VALUE a line"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          error={'problem' in draft ? draft.problem : undefined}
          rows={8}
          maxLength={1500}
          spellCheck={false}
        />
        <NumberInput
          label="Seed"
          value={asked}
          min={0}
          max={2 ** 31 - 1}
          allowDecimal={false}
          onChange={(value) => setAsked(typeof value === 'number' ? value : 1)}
        />
        <div className={classes.toolbar}>
          <Button
            type="submit"
            size="xs"
            disabled={'problem' in draft}
            loading={query.isFetching && query.data !== undefined}
          >
            Show
          </Button>
          <Button
            size="xs"
            variant="default"
            disabled={'problem' in draft}
            onClick={() => show(asked + 1)}
          >
            Another draw
          </Button>
        </div>
      </form>
      <QueryState query={query} skeleton={<Skeleton height={400} />}>
        {({ pictures }) =>
          pictures.length === 0 ? (
            <Empty
              icon={<IconPhoto size={32} stroke={1.5} />}
              title="No samples yet"
              text="There has to be a picture before it can be changed."
            />
          ) : (
            <ul className={classes.augmented} aria-label="Pictures as a run would see them">
              {pictures.map((one, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole; a sample can be in it twice
                <li key={at} aria-label={`${one.name}: ${sayAnnotations(one.annotations)}`}>
                  <SamplePicture sample={one} href={`data:image/jpeg;base64,${one.jpeg}`} small />
                  <span className="clip dim">
                    <bdi>{one.name}</bdi>
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </QueryState>
    </div>
  )
}
