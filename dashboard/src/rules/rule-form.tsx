/** Sets a rule: which events, how many, who is told; and says before what it would have done in the last day. */
import { type EventRule, type ReceiverRow, ruleEventKinds } from '@edgeloop/protocol'
import { Button, Checkbox, Group, NumberInput, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import { sayMoment } from '../shell/say.ts'
import { draftOf, newDraft, type RuleDraft, ruleOf, sayTrial } from './rule-words.ts'
import classes from './rules.module.css'

/** Examples of a trial that are shown. */
const examplesShown = 5

const lists = [
  { field: 'labels', label: 'Labels', hint: 'Any where left empty; commas between' },
  { field: 'areas', label: 'Zones or lines', hint: 'By their names' },
  { field: 'devices', label: 'Devices', hint: 'By their ids' },
  { field: 'sites', label: 'Sites', hint: '' },
  { field: 'streams', label: 'Streams', hint: 'By their ids' },
  { field: 'tags', label: 'Tags of devices', hint: '' },
] as const

/** @param edited the rule that is there; without it a new one is made */
export function RuleForm(props: {
  edited?: { readonly name: string; readonly rule: EventRule } | undefined
  receivers: readonly ReceiverRow[]
  onClose: () => void
  onSaved: () => void
}) {
  const { edited, receivers } = props
  const [draft, setDraft] = useState<RuleDraft>(() =>
    edited ? draftOf(edited.name, edited.rule) : newDraft,
  )
  const change = (part: Partial<RuleDraft>) => setDraft((before) => ({ ...before, ...part }))
  const rule = () => ruleOf(draft, edited?.rule)
  const put = useMutation({
    mutationFn: () => call('rulePut', { params: { name: draft.name }, body: rule() }),
    onSuccess: props.onSaved,
  })
  const trial = useMutation({
    mutationFn: () =>
      call('ruleTest', {
        body: { rule: { ...rule(), tell: draft.tell.length > 0 ? [...draft.tell] : ['nobody'] } },
      }),
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    put.mutate()
  }
  const number = (value: string | number): number | '' => (typeof value === 'number' ? value : '')
  const failed = put.error ?? trial.error
  return (
    <form className={classes.form} onSubmit={submit}>
      <TextInput
        label="Name"
        value={draft.name}
        onChange={({ currentTarget }) => change({ name: currentTarget.value.trim().toLowerCase() })}
        disabled={edited !== undefined}
        maxLength={63}
        required
        data-autofocus={edited === undefined}
      />
      <Checkbox.Group
        label="Kinds of events"
        description="Any where none is chosen"
        value={[...draft.kinds]}
        onChange={(kinds) => change({ kinds })}
      >
        <Group gap="8px 16px" mt={4}>
          {ruleEventKinds.map((kind) => (
            <Checkbox key={kind} value={kind} label={kind} size="xs" />
          ))}
        </Group>
      </Checkbox.Group>
      <div className={classes.pair}>
        {lists.map(({ field, label, hint }) => (
          <TextInput
            key={field}
            label={label}
            description={hint}
            value={draft[field]}
            onChange={({ currentTarget }) => change({ [field]: currentTarget.value })}
            spellCheck={false}
          />
        ))}
      </div>
      <div className={classes.pair}>
        <NumberInput
          label="Score at least"
          value={draft.scoreMin}
          onChange={(value) => change({ scoreMin: number(value) })}
          min={0}
          max={1}
          step={0.05}
        />
        <NumberInput
          label="Events at least"
          description="Each where left empty"
          value={draft.atLeast}
          onChange={(value) => change({ atLeast: number(value) })}
          min={2}
          max={1000}
          allowDecimal={false}
        />
        <NumberInput
          label="Within seconds"
          value={draft.withinSeconds}
          onChange={(value) => change({ withinSeconds: number(value) || 60 })}
          min={1}
          max={86_400}
          allowDecimal={false}
        />
      </div>
      <div className={classes.pair}>
        <NumberInput
          label="Silent for seconds"
          description="After it has fired"
          value={draft.coolDownSeconds}
          onChange={(value) => change({ coolDownSeconds: number(value) || 0 })}
          min={0}
          max={86_400}
          allowDecimal={false}
        />
        <NumberInput
          label="Gather for seconds"
          description="And tell all at once"
          value={draft.gatherSeconds}
          onChange={(value) => change({ gatherSeconds: number(value) || 0 })}
          min={0}
          max={3600}
          allowDecimal={false}
        />
      </div>
      <Checkbox
        label="Each stream counts and is silent by itself"
        checked={draft.apart}
        onChange={({ currentTarget }) => change({ apart: currentTarget.checked })}
      />
      <Checkbox.Group
        label="Tells"
        value={[...draft.tell]}
        onChange={(tell) => change({ tell })}
        required
      >
        <Group gap="8px 16px" mt={4}>
          {receivers.map(({ name }) => (
            <Checkbox key={name} value={name} label={name} size="xs" />
          ))}
        </Group>
      </Checkbox.Group>
      <div role="status">
        {trial.data && (
          <>
            {sayTrial(trial.data)}
            <ul className={classes.examples}>
              {trial.data.examples.slice(0, examplesShown).map(({ event }) => (
                <li key={event.eventId}>
                  {sayMoment(Date.parse(event.at))}: {event.kind} {event.label}{' '}
                  <span className="dim">
                    {event.deviceId}
                    {event.streamId === null ? '' : `/${event.streamId}`}
                  </span>
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
      {failed && (
        <p className={classes.failed} role="alert">
          {failed.message}
        </p>
      )}
      <Group justify="space-between" gap={8}>
        <Button variant="default" loading={trial.isPending} onClick={() => trial.mutate()}>
          Try on the last day
        </Button>
        <Group gap={8}>
          <Button variant="default" onClick={props.onClose}>
            Cancel
          </Button>
          <Button
            type="submit"
            loading={put.isPending}
            disabled={draft.name === '' || draft.tell.length === 0}
          >
            {edited ? 'Save the rule' : 'Add the rule'}
          </Button>
        </Group>
      </Group>
    </form>
  )
}
