/** A table in its frame: scrolls sideways by itself where it is wider than its place, its columns named once. */
import { Table } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from './framed-table.module.css'
import { Scroller } from './scroller.tsx'

/** A word alone, or with what sets its column apart. */
export type Column =
  | string
  | {
      readonly word: string
      /** Numbers are set to the right. */
      readonly right?: true
      /** Said to screen readers only. */
      readonly quiet?: true
    }

/** @param children the rows, each a `Table.Tr` */
export function FramedTable(props: {
  label: string
  columns: readonly Column[]
  /** Narrower than this it is not drawn, px; `wide` where left out. */
  width?: keyof typeof widths
  /** Cells of one row may differ in height, and begin at the same line. */
  tall?: boolean
  children: ReactNode
}) {
  return (
    <Scroller label={props.label}>
      <Table
        className={classes.table ?? ''}
        data-tall={props.tall}
        style={{ minWidth: widths[props.width ?? 'wide'] }}
      >
        <Table.Thead>
          <Table.Tr>
            {props.columns.map((column) => {
              const { word, right, quiet } = partsOf(column)
              return (
                <Table.Th key={word} data-quiet={quiet} {...(right ? { ta: 'right' } : {})}>
                  {quiet ? <span className="hidden-visually">{word}</span> : word}
                </Table.Th>
              )
            })}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{props.children}</Table.Tbody>
      </Table>
    </Scroller>
  )
}

const widths = { small: 520, wide: 720, full: 860 } as const

/** The last column of tables whose rows can be acted on. */
export const actions: Column = { word: 'Actions', quiet: true }

const partsOf = (column: Column): Exclude<Column, string> =>
  typeof column === 'string' ? { word: column } : column
