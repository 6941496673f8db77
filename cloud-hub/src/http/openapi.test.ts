import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { deviceRoutes, routes } from '@edgeloop/protocol'
import { openApi } from './openapi.ts'

const golden = new URL('../../openapi.json', import.meta.url)

test('cloud-hub/openapi.json is what the route tables say', async () => {
  const text = `${JSON.stringify(openApi(), undefined, 2)}\n`
  // Written anew with EDGELOOP_UPDATE_GOLDEN=1; the difference is then reviewed like code.
  if (process.env.EDGELOOP_UPDATE_GOLDEN === '1') await writeFile(golden, text)
  assert.equal(await readFile(golden, 'utf8'), text)
})

test('openApi() holds every route, and every reference leads somewhere', () => {
  const text = JSON.stringify(openApi())
  const document = JSON.parse(text) as {
    paths: Record<string, Record<string, { operationId: string }>>
    components: { schemas: Record<string, unknown> }
  }
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  assert.deepEqual(
    operations.map(({ operationId }) => operationId).sort(),
    Object.keys({ ...routes, ...deviceRoutes }).sort(),
  )
  const references = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!)
  assert.ok(references.length > 10)
  for (const name of references) assert.ok(document.components.schemas[name], name)
  assert.doesNotMatch(text, /"~kind"|"\$id"/)
})
