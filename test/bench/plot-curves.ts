/** AP50 over labelled frames as a picture (SVG) that reads in dark and light: a line for ours, one for chance, a dot a seed. */
import { curveOf, type Point } from './label-curves.ts'

const [width, height] = [640, 320]
const margin = { left: 48, right: 100, top: 34, bottom: 44 } as const
const colours = { ours: '#3a9a6b', random: '#c9762b' } as const
const gridSteps = 5

/** @param title what has drifted, in words without markup */
export function plotCurves(points: readonly Point[], title: string): string {
  const seeds = [...new Set(points.map(({ seed }) => seed))]
  const curves = (['ours', 'random'] as const).map((how) => ({
    how,
    curve: curveOf(points, how, seeds),
  }))
  const most = Math.max(...points.map(({ labels }) => labels))
  const values = [...points, ...curves.flatMap(({ curve }) => curve)].map(({ ap50 }) => ap50)
  // From a whole tenth, so that what differs fills the picture.
  const least = Math.floor(Math.min(...values) * 10) / 10
  const across = (labels: number) =>
    margin.left + Math.sqrt(labels / most) * (width - margin.left - margin.right)
  const up = (value: number) =>
    height - margin.bottom - ((value - least) / (1 - least)) * (height - margin.top - margin.bottom)
  const px = (value: number) => value.toFixed(1)
  const grid = Array.from({ length: gridSteps + 1 }, (_, at) => {
    const value = least + ((1 - least) * at) / gridSteps
    return [
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${px(up(value))}" y2="${px(up(value))}" stroke="#888" stroke-opacity="0.25"/>`,
      `<text x="${margin.left - 6}" y="${px(up(value) + 4)}" text-anchor="end" fill="#888">${value.toFixed(2)}</text>`,
    ]
  }).flat()
  const budgets = [...new Set([0, ...points.map(({ budget }) => budget)])]
  const ticks = budgets.map(
    (labels) =>
      `<text x="${px(across(labels))}" y="${height - 26}" text-anchor="middle" fill="#888">${labels}</text>`,
  )
  const lines = curves.flatMap(({ how, curve }) => {
    const drawn = curve.map(({ labels, ap50 }) => `${px(across(labels))},${px(up(ap50))}`)
    const last = curve.at(-1)!
    const dots = points
      .filter((one) => one.how === how)
      .map(
        ({ labels, ap50 }) =>
          `<circle cx="${px(across(labels))}" cy="${px(up(ap50))}" r="2.5" fill="${colours[how]}" fill-opacity="0.4"/>`,
      )
    const below = how === 'ours' ? -2 : 12
    return [
      ...dots,
      `<polyline points="${drawn.join(' ')}" fill="none" stroke="${colours[how]}" stroke-width="2"/>`,
      `<text x="${px(across(last.labels) + 8)}" y="${px(up(last.ap50) + below)}" fill="${colours[how]}">${how} ${last.ap50.toFixed(3)}</text>`,
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="AP50 over labelled frames: ${title}">`,
    `<text x="${margin.left}" y="18" fill="#888">AP50 on the drifted scene: ${title}</text>`,
    ...[...grid, ...ticks, ...lines],
    `<text x="${(margin.left + width - margin.right) / 2}" y="${height - 8}" text-anchor="middle" fill="#888">labelled frames (root scale)</text>`,
    '</svg>\n',
  ].join('\n')
}
