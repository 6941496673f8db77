/** The drawings of a stream as a list: what each is called and counts, and its points as numbers. */
import {
  type LineDirection,
  lineDirections,
  type Point,
  pointsMax,
  type StreamConfig,
} from '@edgeloop/protocol'
import { ActionIcon, Button, NativeSelect, NumberInput, TextInput } from '@mantine/core'
import { IconTrash } from '@tabler/icons-react'
import {
  type Drawing,
  type DrawingId,
  drawingsOf,
  drawingWords,
  replaced,
  withMiddle,
  withoutDrawing,
  withPoints,
} from './drawing.ts'
import { isSame } from './drawing-board.tsx'
import { LabelInput } from './label-input.tsx'
import type { editDraft } from './stream-draft.ts'
import classes from './stream-settings.module.css'

type Edit = (change: Parameters<typeof editDraft>[1], goOn?: boolean) => void

const directionWords: Record<LineDirection, string> = {
  both: 'Both directions',
  toRight: 'To the right of the line',
  toLeft: 'To the left of the line',
}

export function DrawingList(props: {
  stream: StreamConfig
  labels: readonly string[]
  selected: DrawingId | undefined
  onSelect: (id: DrawingId | undefined) => void
  onEdit: Edit
}) {
  const { stream, selected } = props
  const drawings = drawingsOf(stream)
  return (
    <section className={classes.group} aria-label="Zones, lines and masks">
      <h2>Zones, lines and masks</h2>
      {drawings.length === 0 && <p className="dim">None yet. Draw one on the picture.</p>}
      <ul className={classes.list}>
        {drawings.map((drawing) => {
          const on = isSame(selected, drawing)
          return (
            <li key={`${drawing.kind}/${drawing.index}`} className={classes.entry} data-on={on}>
              <button
                type="button"
                className={classes.choose}
                aria-expanded={on}
                onClick={() => props.onSelect(on ? undefined : drawing)}
              >
                <span className="dim">{drawingWords[drawing.kind].word}</span>
                <b className="clip">
                  <bdi>{drawing.name}</bdi>
                </b>
              </button>
              {on && <Opened {...props} drawing={drawing} />}
            </li>
          )
        })}
      </ul>
    </section>
  )
}

function Opened(props: {
  stream: StreamConfig
  labels: readonly string[]
  drawing: Drawing
  onSelect: (id: DrawingId | undefined) => void
  onEdit: Edit
}) {
  const { stream, drawing, onEdit } = props
  const { kind, index } = drawing
  const zone = kind === 'zone' ? stream.zones?.[index] : undefined
  const line = kind === 'line' ? stream.lines?.[index] : undefined
  const setZone = (change: Partial<NonNullable<typeof zone>>) =>
    onEdit({ zones: replaced(stream.zones, index, (one) => withoutUnset({ ...one, ...change })) })
  const setLine = (change: Partial<NonNullable<typeof line>>) =>
    onEdit({ lines: replaced(stream.lines, index, (one) => withoutUnset({ ...one, ...change })) })
  const rename = (name: string) => {
    if (kind === 'zone') setZone({ name })
    else if (kind === 'line') setLine({ name })
    else onEdit({ masks: replaced(stream.masks, index, (mask) => ({ ...mask, name })) })
  }
  const setPoints = (points: readonly Point[]) => onEdit(withPoints(stream, drawing, points))
  return (
    <div className={classes.opened}>
      <TextInput
        size="xs"
        label="Name"
        maxLength={60}
        value={drawing.name}
        error={drawing.name.trim() === '' ? 'A name is needed' : undefined}
        onChange={(event) => rename(event.currentTarget.value)}
      />
      {zone && (
        <>
          <LabelInput
            label="Only these labels"
            known={props.labels}
            value={zone.labels}
            onChange={(labels) => setZone({ labels } as Partial<typeof zone>)}
          />
          <NumberInput
            size="xs"
            label="Say so when something stays for, seconds"
            placeholder="Never"
            min={0.5}
            max={86_400}
            value={zone.dwellSeconds ?? ''}
            onChange={(value) =>
              setZone({
                dwellSeconds: value === '' ? undefined : Number(value),
              } as Partial<typeof zone>)
            }
          />
        </>
      )}
      {line && (
        <>
          <NativeSelect
            size="xs"
            label="Which crossings"
            value={line.direction ?? 'both'}
            onChange={({ currentTarget: { value } }) => {
              const direction = lineDirections.find((each) => each === value)
              if (direction) setLine({ direction })
            }}
            data={lineDirections.map((value) => ({ value, label: directionWords[value] }))}
          />
          <LabelInput
            label="Only these labels"
            known={props.labels}
            value={line.labels}
            onChange={(labels) => setLine({ labels } as Partial<typeof line>)}
          />
        </>
      )}
      <ol className={classes.points} aria-label={`Points of ${drawing.name}, in percent`}>
        {drawing.points.map((point, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a point is its place in the path
          <li key={at} className={classes.point}>
            {at + 1}
            {(['left', 'top'] as const).map((side, axis) => (
              <NumberInput
                key={side}
                size="xs"
                hideControls
                aria-label={`Point ${at + 1}, percent from the ${side}`}
                min={0}
                max={100}
                decimalScale={2}
                value={Math.round((point[axis] ?? 0) * 10_000) / 100}
                onChange={(value) => {
                  if (value === '') return
                  const to: Point =
                    axis === 0 ? [Number(value) / 100, point[1]] : [point[0], Number(value) / 100]
                  setPoints(drawing.points.map((other, n) => (n === at ? to : other)))
                }}
              />
            ))}
            <ActionIcon
              variant="subtle"
              color="gray"
              c="var(--el-dimmed)"
              aria-label={`Take away point ${at + 1}`}
              disabled={drawing.points.length <= drawingWords[kind].pointsMin}
              onClick={() => setPoints(drawing.points.filter((_, n) => n !== at))}
            >
              <IconTrash size={14} />
            </ActionIcon>
          </li>
        ))}
      </ol>
      <div className={classes.buttons}>
        <Button
          size="compact-xs"
          variant="default"
          disabled={drawing.points.length >= pointsMax}
          onClick={() => setPoints(withMiddle(drawing.points, kind !== 'line'))}
        >
          Add a point
        </Button>
        <Button
          size="compact-xs"
          variant="default"
          onClick={() => {
            onEdit(withoutDrawing(stream, drawing))
            props.onSelect(undefined)
          }}
        >
          Delete {drawing.name}
        </Button>
      </div>
    </div>
  )
}

/** Settings that are undefined are left out: the protocol knows no empty ones. */
const withoutUnset = <T extends object>(one: T): T =>
  Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined)) as T
