/** A place where an archive or a folder may be dropped; says so while one is held over it, and why one is not taken. */
import { notifications } from '@mantine/notifications'
import { type ReactNode, useState } from 'react'
import dropClasses from '../shell/drop.module.css'
import { type Dropped, droppedOf } from './dropped.ts'

export function DropArea(props: {
  disabled: boolean
  onDropped: (dropped: Dropped) => void
  children: ReactNode
}) {
  const [over, setOver] = useState(false)
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a second way for what buttons do
    <div
      className={dropClasses.drop}
      data-over={over && !props.disabled}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false)
      }}
      onDrop={(event) => {
        event.preventDefault()
        setOver(false)
        if (props.disabled) return
        droppedOf(event.dataTransfer).then(props.onDropped, (error: Error) =>
          notifications.show({ color: 'bad', message: error.message }),
        )
      }}
    >
      {props.children}
    </div>
  )
}
