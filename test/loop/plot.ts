/** AP50 over time of every box as a picture (SVG) that reads in dark and light: one line a box, drifts and new models as marks. */
import type { Sight } from './observer.ts'
import { type BoxName, boxNames } from './stage.ts'

export type Mark = { readonly seconds: number; readonly text: string }

const [width, height] = [960, 320]
const margin = { left: 48, right: 90, top: 34, bottom: 34 } as const
const colours: { readonly [B in BoxName]: string } = {
  north: '#4c7dd0',
  middle: '#c9762b',
  south: '#3a9a6b',
}

/** @param seconds at which the last of it was looked at */
export function plotSights(
  sights: readonly Sight[],
  marks: readonly Mark[],
  seconds: number,
): string {
  const across = (at: number) => margin.left + (at / seconds) * (width - margin.left - margin.right)
  const up = (value: number) =>
    height - margin.bottom - value * (height - margin.top - margin.bottom)
  const px = (value: number) => value.toFixed(1)
  const lines = boxNames.flatMap((box, at) => {
    const own = sights.filter((sight) => sight.box === box)
    const [first] = own
    if (!first) return []
    // What is measured holds until it is measured to be something else.
    const steps = own.flatMap((sight, index) => {
      const until = own[index + 1]?.seconds ?? seconds
      const y = px(up(sight.measured.ap50))
      return [`${px(across(sight.seconds))},${y}`, `${px(across(until))},${y}`]
    })
    const last = own.at(-1)!.measured.ap50
    return [
      `<polyline points="${steps.join(' ')}" fill="none" stroke="${colours[box]}" stroke-width="2"/>`,
      `<text x="${width - margin.right + 6}" y="${px(up(last) + 4 + 14 * (at - 1))}" fill="${colours[box]}">${box} ${last.toFixed(2)}</text>`,
    ]
  })
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
    `<line x1="${margin.left}" x2="${width - margin.right}" y1="${px(up(value))}" y2="${px(up(value))}" stroke="#888" stroke-opacity="0.25"/>`,
    `<text x="${margin.left - 6}" y="${px(up(value) + 4)}" text-anchor="end" fill="#888">${value}</text>`,
  ])
  const minutes = Array.from({ length: Math.floor(seconds / 120) + 1 }, (_, at) => 2 * at)
  const times = minutes.map(
    (minute) =>
      `<text x="${px(across(minute * 60))}" y="${height - 12}" text-anchor="middle" fill="#888">${minute} min</text>`,
  )
  const flags = marks.flatMap(({ seconds: at, text }, index) => [
    `<line x1="${px(across(at))}" x2="${px(across(at))}" y1="${margin.top - 6}" y2="${height - margin.bottom}" stroke="#888" stroke-dasharray="3 3"/>`,
    `<text x="${px(across(at) + 3)}" y="${margin.top - 10 - 12 * (index % 2)}" fill="#888">${escaped(text)}</text>`,
  ])
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="AP50 of every box over time">`,
    ...[...grid, ...times, ...flags, ...lines],
    '</svg>\n',
  ].join('\n')
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
