/** An address that leads nowhere. */
import { IconError404 } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { usePageTitle } from './page.tsx'
import { Empty } from './query-state.tsx'

export function NotFound() {
  usePageTitle('Not here')
  return (
    <main>
      <h1 className="hidden-visually">Not here</h1>
      <Empty icon={<IconError404 size={32} />} title="There is nothing at this address">
        <Link to="/">Go to Home</Link>
      </Empty>
    </main>
  )
}
