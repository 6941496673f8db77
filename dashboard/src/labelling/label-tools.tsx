/** The tools, thin, at the left: each has a key. */
import { ActionIcon } from '@mantine/core'
import {
  IconArrowBackUp,
  IconArrowForwardUp,
  IconArrowsMaximize,
  IconPointer,
  IconPolygon,
  IconSquarePlus,
  IconViewfinder,
  IconZoomIn,
  IconZoomOut,
} from '@tabler/icons-react'
import type { Tool } from './gesture.ts'
import type { LabelAct } from './label-keys.ts'
import classes from './label-page.module.css'

const tools = [
  { tool: 'select', word: 'Select', key: 'V', icon: IconPointer },
  { tool: 'draw', word: 'Draw boxes', key: 'W', icon: IconSquarePlus },
  { tool: 'extremes', word: 'Box by four extreme points', key: 'E', icon: IconViewfinder },
  { tool: 'outline', word: 'Outline', key: 'O', icon: IconPolygon },
] as const

const acts = [
  { act: 'zoomIn', word: 'Larger', key: '=', icon: IconZoomIn },
  { act: 'zoomOut', word: 'Smaller', key: '-', icon: IconZoomOut },
  { act: 'fit', word: 'Whole picture', key: '\\', icon: IconArrowsMaximize },
  { act: 'undo', word: 'Undo', key: 'U', icon: IconArrowBackUp },
  { act: 'redo', word: 'Redo', key: 'Shift+U', icon: IconArrowForwardUp },
] as const

export function LabelTools(props: {
  tool: Tool
  onTool: (tool: Tool) => void
  onAct: (act: LabelAct) => void
  canUndo: boolean
  canRedo: boolean
}) {
  const off = { undo: !props.canUndo, redo: !props.canRedo } as const
  return (
    <div className={classes.tools} role="toolbar" aria-label="Tools" aria-orientation="vertical">
      {tools.map(({ tool, word, key, icon: Icon }) => (
        <ActionIcon
          key={tool}
          variant={props.tool === tool ? 'filled' : 'subtle'}
          {...(props.tool === tool ? {} : { color: 'gray', c: 'var(--el-text)' })}
          aria-label={word}
          aria-pressed={props.tool === tool}
          title={`${word} (${key})`}
          onClick={() => props.onTool(tool)}
        >
          <Icon size={18} stroke={1.75} />
        </ActionIcon>
      ))}
      <hr />
      {acts.map(({ act, word, key, icon: Icon }) => (
        <ActionIcon
          key={act}
          variant="subtle"
          color="gray"
          c="var(--el-text)"
          aria-label={word}
          title={`${word} (${key})`}
          disabled={act === 'undo' || act === 'redo' ? off[act] : false}
          onClick={() => props.onAct(act)}
        >
          <Icon size={18} stroke={1.75} />
        </ActionIcon>
      ))}
    </div>
  )
}
