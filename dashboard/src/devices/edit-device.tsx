/** The name, the site and the tags that people see of a device. Nothing changes on the box. */
import { type DevicePlace, type DeviceRow, deviceTagsMax, isName } from '@edgeloop/protocol'
import { Autocomplete, Button, Group, Modal, TagsInput, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { call } from '../api/call.ts'
import classes from '../streams/add-stream.module.css'
import { deviceListQuery, deviceQuery } from './device-queries.ts'
import { countBySite } from './fleet-view.ts'

export function EditDevice(props: { device: DeviceRow; onClose: () => void }) {
  const { device, onClose } = props
  const { deviceId } = device
  const queryClient = useQueryClient()
  const { data: rows = [] } = useQuery(deviceListQuery)
  const [name, setName] = useState(device.name)
  const [site, setSite] = useState(device.site)
  const [tags, setTags] = useState<string[]>([...device.tags])
  const edit = useMutation({
    mutationFn: async (body: DevicePlace) => {
      const params = { deviceId }
      if (newTags) await call('deviceTagsSet', { params, body: { tags } })
      const row = Object.keys(body).length > 0 && (await call('deviceEdit', { params, body }))
      return row || { ...device, tags }
    },
    onSuccess: (row) => {
      queryClient.setQueryData(
        deviceQuery(deviceId).queryKey,
        (detail) => detail && { ...detail, device: row },
      )
      notifications.show({ message: `${deviceId} is “${row.name}” at ${row.site} now` })
      onClose()
    },
  })
  const wrongSite = !isName(site)
  const newTags = tags.join(' ') !== device.tags.join(' ')
  const wrongTag = tags.find((tag) => !/^[a-z0-9][a-z0-9_.-]{0,39}$/.test(tag))
  // Only what was changed here: somebody else may have changed the other.
  const body: DevicePlace = {
    ...(name.trim() !== device.name && { name: name.trim() }),
    ...(site !== device.site && { site }),
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Edit ${deviceId}`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form
        className={classes.form}
        onSubmit={(event: FormEvent) => {
          event.preventDefault()
          edit.mutate(body)
        }}
      >
        <TextInput
          label="Name"
          description="What people call it"
          maxLength={120}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          autoComplete="off"
          data-autofocus
        />
        <Autocomplete
          label="Site"
          description="Where it stands now; lower case letters, digits, - and _"
          data={countBySite(rows).map(([known]) => known)}
          maxLength={63}
          value={site}
          onChange={setSite}
          error={wrongSite ? 'Only lower case letters, digits, - and _, at most 63' : undefined}
        />
        <TagsInput
          label="Tags"
          description="Words to choose it by, for rollouts"
          data={[...new Set(rows.flatMap((row) => row.tags))].sort()}
          maxTags={deviceTagsMax}
          limit={8}
          maxDropdownHeight={360}
          value={tags}
          onChange={setTags}
          error={
            wrongTag === undefined
              ? undefined
              : `“${wrongTag}” is no tag: lower case letters, digits and . _ -, at most 40`
          }
        />
        <p className="dim">
          1 device moves in lists and filters, at once and with its history. Nothing changes on the
          box: its id, its certificate and its topics stay.
        </p>
        {edit.error && (
          <p className={classes.failed} role="alert">
            {edit.error.message}
          </p>
        )}
        <Group justify="flex-end" gap={8}>
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button
            type="submit"
            disabled={
              wrongSite ||
              wrongTag !== undefined ||
              name.trim() === '' ||
              (Object.keys(body).length === 0 && !newTags)
            }
            loading={edit.isPending}
          >
            Save
          </Button>
        </Group>
      </form>
    </Modal>
  )
}
