/** All searches, on the page of runs; nothing where there are none. */
import { Table } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Ago } from '../shell/now.tsx'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import tables from '../shell/tables.module.css'
import { sayFigure } from './run-words.ts'
import classes from './runs.module.css'
import { searchListQuery, useSearchChanges } from './search-queries.ts'
import { saySearchState, sayTrials } from './search-words.ts'

export function Searches() {
  useSearchChanges()
  const { data: rows } = useQuery(searchListQuery)
  if (!rows || rows.length === 0) return null
  return (
    <section aria-labelledby="searches">
      <h2 id="searches">Searches</h2>
      <Scroller label="Searches">
        <Table className={`${tables.table} ${classes.table}`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>State</Table.Th>
              <Table.Th>Model</Table.Th>
              <Table.Th>Dataset</Table.Th>
              <Table.Th>Method</Table.Th>
              <Table.Th className={tables.number ?? ''}>Best</Table.Th>
              <Table.Th>Trials</Table.Th>
              <Table.Th>Asked for</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((search) => {
              const { kind, word } = saySearchState(search)
              return (
                <Table.Tr key={search.searchId}>
                  <Table.Td>
                    <Status kind={kind} word={word} title={search.error || undefined} />
                  </Table.Td>
                  <Table.Td className={classes.name ?? ''}>
                    <Link to="/searches/$searchId" params={{ searchId: search.searchId }}>
                      {search.model} <span className="mono">{search.searchId.slice(0, 8)}</span>
                    </Link>
                    <div className="dim">
                      from {search.parent}
                      {search.note && `, ${search.note}`}
                    </div>
                  </Table.Td>
                  <Table.Td>
                    {search.dataset.name} v{search.dataset.version}
                  </Table.Td>
                  <Table.Td>{search.method}</Table.Td>
                  <Table.Td className={tables.number ?? ''}>
                    {search.best ? `${search.metric} ${sayFigure(search.best.value)}` : '–'}
                  </Table.Td>
                  <Table.Td>{sayTrials(search)}</Table.Td>
                  <Table.Td>
                    <Ago at={search.createdAt} /> <span className="dim">by {search.by}</span>
                  </Table.Td>
                </Table.Tr>
              )
            })}
          </Table.Tbody>
        </Table>
      </Scroller>
    </section>
  )
}
