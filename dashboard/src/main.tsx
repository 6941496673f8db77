/** Where the dashboard begins: takes the sign-in token out of the address, then shows the place. */
import './styles.ts'
import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { makeQueryClient } from './api/query-client.ts'
import { sessionQuery, takeToken } from './people/session.ts'
import { makeRouter, preloadPlaces } from './router.tsx'
import { cssVariablesResolver, theme } from './shell/theme.ts'

// Before anything else runs: no router, beacon or bookmark ever sees the token.
let token = takeToken(location, history)

const queryClient = makeQueryClient(onSignedOut)
const router = makeRouter({
  queryClient,
  takeToken: () => {
    const taken = token
    token = undefined
    return taken
  },
  onSignedOut,
})

/** The session ended while somebody was here: they come back to the same place after signing in. */
function onSignedOut(): void {
  if (router.state.location.pathname === '/sign-in') return
  queryClient.removeQueries({ queryKey: sessionQuery.queryKey })
  void router.navigate({ to: '/sign-in', search: { to: router.state.location.href } })
}

const root = document.getElementById('root')
if (!root) throw new Error('Cannot show the dashboard: the page has no element "root"')
createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariablesResolver}
      defaultColorScheme="auto"
    >
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)

// When the first page is there and its reader is looking at it.
const preloadAfterMs = 2000
addEventListener('load', () => setTimeout(() => void preloadPlaces(router), preloadAfterMs), {
  once: true,
})
