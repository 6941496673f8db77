/** Loaded before everything else in processes of `npm test`: TypeBox comes from where joined-typebox.ts has put it. */
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = new URL(import.meta.url).searchParams.get('folder') ?? ''
const joined = new Map(
  ['typebox', 'typebox/value', 'typebox/compile'].map((name) => [
    name,
    pathToFileURL(join(folder, `${name.split('/').at(-1)}.mjs`)).href,
  ]),
)

registerHooks({
  resolve: (name, context, next) => {
    const url = joined.get(name)
    return url === undefined ? next(name, context) : { url, format: 'module', shortCircuit: true }
  },
})
