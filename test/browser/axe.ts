/** Accessibility as axe-core sees it. */
import axe, { type Result } from 'axe-core'
import type { Page } from 'playwright-core'

/**
 * What is serious or critical on the page, one line each with the element it is about.
 * @param rules only these, all where left out
 */
export async function complaintsOfAxe(page: Page, rules?: readonly string[]): Promise<string[]> {
  // Through the debugger: the page's own policy lets no foreign script in. Half a megabyte, once for each document.
  if (!(await page.evaluate<boolean>('"axe" in globalThis'))) await page.evaluate(axe.source)
  const options = { resultTypes: ['violations'], ...(rules ? { runOnly: rules } : {}) }
  const violations = await page.evaluate<Result[]>(
    `axe.run(${JSON.stringify(options)}).then((results) => results.violations)`,
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.any[0]?.message ?? ''}`),
    )
}
