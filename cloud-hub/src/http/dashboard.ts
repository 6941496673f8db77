/** The built dashboard as files: hashed names for ever, the page itself never kept, every path the page. */
import { existsSync, realpathSync } from 'node:fs'
import { join, sep } from 'node:path'
import { Refusal } from '@edgeloop/protocol'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { refuse } from './problems.ts'

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Edgeloop</title>
<body style="font:16px system-ui;max-width:40em;margin:4em auto;padding:0 1em">
<h1>The dashboard is not built</h1>
<p>The hub works; only its pages are missing. Start it with <code>npm start</code>, which builds them.</p>
</body></html>`

/** True where the file behind `path`, links followed, is `folder` or lies in it; also where there is none. */
function isInside(folder: string, path: string): boolean {
  try {
    const root = realpathSync(folder)
    const real = realpathSync(join(folder, path))
    return real === root || real.startsWith(root + sep)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** Serves `folder` and answers everything no route knows. */
export async function serveDashboard(app: FastifyInstance, folder: string): Promise<void> {
  const built = folder !== '' && existsSync(join(folder, 'index.html'))
  if (built) {
    await app.register(fastifyStatic, {
      root: folder,
      cacheControl: false,
      dotfiles: 'ignore',
      // A link in the folder leads nowhere else.
      allowedPath: (path) => isInside(folder, path),
      // The build puts a gzip beside each larger file.
      preCompressed: true,
      setHeaders: (reply, path) => {
        const hashed = path.includes('/assets/')
        reply.header('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-store')
      },
    })
  }
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?')
    const isPage =
      request.method === 'GET' &&
      !path.startsWith('/api/') &&
      !path.startsWith('/assets/') &&
      (request.headers.accept ?? '').includes('text/html')
    if (!isPage) {
      return refuse(
        request,
        reply,
        new Refusal('notFound', `Cannot find ${request.method} ${path}`),
      )
    }
    reply.header('cache-control', 'no-store')
    return built ? reply.sendFile('index.html') : reply.type('text/html').send(notBuilt)
  })
}
