/** Boxes that a rollout names and that take no part, by why. */
import type { LeftOut } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { FramedTable } from '../shell/framed-table.tsx'
import { sayCount } from '../shell/say.ts'
import classes from './rollouts.module.css'

export function LeftOutList({ leftOut }: { leftOut: readonly LeftOut[] }) {
  return (
    <section className={classes.section} aria-labelledby="left-out">
      <h2 id="left-out">Boxes that take no part</h2>
      <FramedTable
        label="Why boxes take no part"
        columns={[{ word: 'Boxes', right: true }, 'Why', 'The first of them']}
        width="small"
      >
        {leftOut.map(({ reason, devices, first }) => (
          <Table.Tr key={reason}>
            <Table.Td ta="right">{sayCount(devices)}</Table.Td>
            <Table.Td className={classes.why ?? ''}>{reason}</Table.Td>
            <Table.Td className={classes.why ?? ''}>
              {first.slice(0, 5).map((deviceId) => (
                <span key={deviceId}>
                  <Link to="/devices/$deviceId" params={{ deviceId }}>
                    {deviceId}
                  </Link>{' '}
                </span>
              ))}
              {devices > 5 && <span className="dim">and {sayCount(devices - 5)} more</span>}
            </Table.Td>
          </Table.Tr>
        ))}
      </FramedTable>
    </section>
  )
}
