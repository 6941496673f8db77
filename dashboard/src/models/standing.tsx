/** Where a version comes from, and whether later ones are compared with it. */
import type { ModelVersion } from '@edgeloop/protocol'
import { Button, Table } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { call } from '../api/call.ts'
import { Ago } from '../shell/now.tsx'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import tables from '../shell/tables.module.css'
import { LineageStrip } from './lineage-strip.tsx'
import { modelVersionsQuery } from './model-queries.ts'
import classes from './models.module.css'

export function Standing({ model, mayChange }: { model: ModelVersion; mayChange: boolean }) {
  const { name, version, champion, standing, lineage } = model
  const queryClient = useQueryClient()
  const change = useMutation({
    mutationFn: () =>
      call(champion ? 'modelDemote' : 'modelPromote', { params: { name, version } }),
    onError: (error) => notifications.show({ color: 'bad', message: error.message }),
    onSettled: () => queryClient.invalidateQueries({ queryKey: ['models'] }),
  })
  return (
    <section className={classes.section} aria-labelledby="standing">
      <h2 id="standing">Standing</h2>
      <div className={classes.job}>
        <Status
          kind={champion ? 'ok' : 'info'}
          word={champion ? 'Champion' : 'Candidate'}
          title={standing}
        />
        <span className="dim">{standing}</span>
        {mayChange && (
          <Button
            size="compact-xs"
            variant="default"
            loading={change.isPending}
            onClick={() => change.mutate()}
          >
            {champion ? 'Demote' : 'Promote to champion'}
          </Button>
        )}
      </div>
      {lineage && <Lineage model={model} lineage={lineage} />}
    </section>
  )
}

function Lineage(props: { model: ModelVersion; lineage: NonNullable<ModelVersion['lineage']> }) {
  const { model, lineage } = props
  const { dataset, parent, runId } = lineage
  return (
    <>
      <LineageStrip
        dataset={dataset}
        parent={parent}
        run={
          <Link to="/runs/$runId" params={{ runId }}>
            run {runId.slice(0, 8)}
          </Link>
        }
        result={
          <span>
            {model.name}/{model.version}
          </span>
        }
      />
      <p className="dim">
        Seed {lineage.seed}, version {lineage.codeVersion}, recipe{' '}
        <span className="mono" title={`SHA-256 ${lineage.recipeDigest}`}>
          {lineage.recipeDigest.slice(0, 8)}
        </span>
        {Object.keys(lineage.figures).length > 0 &&
          `. On the test samples: ${sayFigures(lineage.figures)}`}
      </p>
    </>
  )
}

const sayFigures = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .slice(0, 6)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ')

export function Versions({ name, shown }: { name: string; shown: number }) {
  const { data: versions } = useQuery(modelVersionsQuery(name))
  if (!versions || versions.length < 2) return null
  return (
    <section className={classes.section} aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      <Scroller label="Versions">
        <Table className={`${tables.table} ${classes.candidates}`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th className={tables.number ?? ''}>Version</Table.Th>
              <Table.Th>Standing</Table.Th>
              <Table.Th>From</Table.Th>
              <Table.Th>Added</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {versions.map((one) => (
              <Table.Tr key={one.version} data-chosen={one.version === shown}>
                <Table.Td className={tables.number ?? ''}>
                  <Link to="/models/$name/$version" params={{ name, version: `${one.version}` }}>
                    {one.version}
                  </Link>
                </Table.Td>
                <Table.Td className={classes.why ?? ''}>
                  {one.champion && <Status kind="ok" word="champion" />} {one.standing}
                </Table.Td>
                <Table.Td>
                  {one.lineage
                    ? `${one.lineage.parent} on ${one.lineage.dataset.name} v${one.lineage.dataset.version}`
                    : 'brought'}
                </Table.Td>
                <Table.Td>
                  <Ago at={one.createdAt} /> <span className="dim">by {one.by}</span>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Scroller>
    </section>
  )
}
