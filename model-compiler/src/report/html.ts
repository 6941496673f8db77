/** A page and its pieces: no script, nothing from elsewhere, so it can be mailed or kept for years. */
import { escaped } from './svg.ts'

/**
 * A whole page. @param title plain text
 * @param inside what stands in it, as HTML
 */
export const page = (title: string, inside: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${style}</style>
<main>
${inside}
</main>
</html>
`

/** One number that is read at a glance, and what it is. */
export const figure = (value: string, says: string): string =>
  `<div><dt>${escaped(says)}</dt><dd>${escaped(value)}</dd></div>`

/** A picture with its title. @param note HTML */
export const plot = (title: string, svg: string, note = ''): string =>
  `<figure><figcaption><h2>${escaped(title)}</h2>${note && `<p>${note}</p>`}</figcaption>${svg}</figure>\n`

/**
 * A table that scrolls by itself where it is too wide; the first cell of each row is its head.
 * @param last whether the last column holds numbers, or words that may take several lines
 */
export function table(
  name: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  last: 'numbers' | 'words' = 'numbers',
): string {
  const head = heads.map((text) => `<th scope="col">${escaped(text)}</th>`).join('')
  const cell = (text: string, isLast: boolean): string =>
    `<td${isLast && last === 'words' ? ' class="why"' : ''}>${escaped(text)}</td>`
  const body = rows.map(
    ([first = '', ...rest]) =>
      `<tr><th scope="row">${escaped(first)}</th>${rest.map((text, at) => cell(text, at === rest.length - 1)).join('')}</tr>`,
  )
  return `<div class="wide" role="region" aria-label="${escaped(name)}" tabindex="0"><table class="${last}"><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}

/** Names and what they stand for. */
export const facts = (rows: readonly (readonly [name: string, value: string])[]): string =>
  `<dl class="facts">${rows.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`

/** What pictures need of the page around them; its colours are variables of that page. */
export const plotStyle = `svg{display:block;width:100%;height:auto}svg text{font-size:10px;fill:var(--ink);font-variant-numeric:tabular-nums}
svg .axis{fill:var(--soft)}svg .strong{font-weight:700}
.grid{stroke:var(--line);stroke-width:1}.limit{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 3}
circle.chosen,rect.chosen,rect.after{fill:var(--accent)}circle.passed,rect.passed,rect.before,rect.refused{fill:var(--calm)}circle.refused{fill:var(--bad)}
svg .series{fill:none;stroke-width:1.8;stroke-linejoin:round}
svg .series0{stroke:var(--accent)}svg .series1{stroke:#c9730a}svg .series2{stroke:#2c9a5b}svg .series3{stroke:#b0417d}svg .series4{stroke:#7b61c9}svg .series5{stroke:var(--calm)}
svg .series6{stroke:var(--accent);stroke-dasharray:5 3}svg .series7{stroke:#c9730a;stroke-dasharray:5 3}svg .series8{stroke:#2c9a5b;stroke-dasharray:5 3}svg .series9{stroke:#b0417d;stroke-dasharray:5 3}
svg text.on{fill:var(--ground)}svg .cell{fill:var(--accent)}svg .cell.wrong{fill:var(--bad)}svg .gap{fill:var(--bad);opacity:.35}svg circle.dot{fill:var(--accent);opacity:.5}svg .trial{fill:none;stroke:var(--calm);opacity:.6}svg .trial.best{stroke:var(--accent);stroke-width:2.5;opacity:1}`

/** Colours and measures of a page; `plotStyle` is what pictures need where they stand elsewhere. */
const style = `
:root{color-scheme:light dark;--ground:#fff;--card:#f6f7f9;--ink:#1a1d21;--soft:#59616b;--line:#d9dde3;--accent:#1667c7;--bad:#b3261e;--calm:#8a94a1}
@media(prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1c2025;--ink:#e8eaed;--soft:#a2abb6;--line:#343a42;--accent:#6cb0ff;--bad:#ff8a80;--calm:#7d8794}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}h2{font-size:15px;margin:24px 0 4px}
p{margin:4px 0;color:var(--soft)}p strong{color:var(--accent)}
.figures{display:flex;flex-wrap:wrap;gap:8px 32px;margin:16px 0 24px}
.figures div{display:flex;flex-direction:column-reverse}.figures dd{margin:0;font-size:28px;font-weight:600;font-variant-numeric:tabular-nums}.figures dt{color:var(--soft)}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:8px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child>*{border-bottom:0}
th{font-weight:500}thead th{color:var(--soft);font-size:13px}
th:first-child{text-align:left}th small{display:block;color:var(--soft);font-weight:400;white-space:normal;min-width:11em}
.why,thead th:last-child{text-align:left;white-space:normal;min-width:14em}
table.numbers thead th:last-child{text-align:right;min-width:0}
tr.chosen{background:var(--card)}tr.chosen strong{color:var(--accent)}tr.refused td,tr.refused th{color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:16px;margin:16px 0}
figure{margin:0;padding:16px;background:var(--card);border-radius:8px}figure h2{margin:0}figure p{font-size:13px;margin:0 0 8px}
${plotStyle}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin-left:8px}.key.before{background:var(--calm)}.key.after{background:var(--accent)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0}.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
@media(max-width:560px){.facts{grid-template-columns:1fr}.facts dd{margin-bottom:8px}}
`
