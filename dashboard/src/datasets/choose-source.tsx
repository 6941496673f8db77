/** The ways to name what is imported: an archive, or a folder with everything in it. */
import { Button, FileButton, Group } from '@mantine/core'
import { useRef, useState } from 'react'
import classes from './datasets.module.css'
import { type Dropped, ofChosen, ofFile } from './dropped.ts'

export function ChooseSource(props: {
  chosen: Dropped | undefined
  onChosen: (chosen: Dropped) => void
}) {
  const folder = useRef<HTMLInputElement>(null)
  const [refused, setRefused] = useState('')
  const choose = (read: () => Dropped) => {
    try {
      props.onChosen(read())
      setRefused('')
    } catch (error) {
      setRefused((error as Error).message)
    }
  }
  return (
    <div>
      <Group gap={8}>
        <FileButton
          accept=".zip,.tar,.gz,.tgz,.zst"
          onChange={(file) => file && choose(() => ofFile(file))}
        >
          {(given) => (
            <Button {...given} size="xs" variant="default">
              Choose an archive
            </Button>
          )}
        </FileButton>
        <Button size="xs" variant="default" onClick={() => folder.current?.click()}>
          Choose a folder
        </Button>
        <input
          ref={folder}
          type="file"
          className="hidden-visually"
          tabIndex={-1}
          aria-label="Folder of pictures"
          {...{ webkitdirectory: '' }}
          onChange={({ currentTarget: { files } }) => {
            if (files && files.length > 0) choose(() => ofChosen([...files]))
          }}
        />
      </Group>
      <p className="dim">
        {props.chosen ? <bdi>{props.chosen.what}</bdi> : 'Nothing is chosen yet'}
      </p>
      {refused !== '' && (
        <p className={classes.failed} role="alert">
          {refused}
        </p>
      )}
    </div>
  )
}
