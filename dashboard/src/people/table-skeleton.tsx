/** The shape of a table whose rows are on their way. */
import { Skeleton } from '@mantine/core'

export function TableSkeleton(props: { rows: number }) {
  return Array.from({ length: props.rows + 1 }, (_, row) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike
    <Skeleton key={row} height={36} mb={4} />
  ))
}
