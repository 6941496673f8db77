/** A line as small as a word: the last half hour of a figure, with gaps where nothing was measured. */
import { sparklineDevicesMax } from '@edgeloop/protocol'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { memo, useEffect, useState } from 'react'
import { call } from '../api/call.ts'
import classes from './sparkline.module.css'
import { sparklinePath } from './sparkline-path.ts'

const refetchEveryMs = 60_000
/** Rows must stand still for this long before their lines are asked for. */
const restMs = 150

const width = 64
const height = 20

/** @param max the figure at the top edge; greater ones raise it */
export const Sparkline = memo(function Sparkline(props: {
  values: readonly (number | null)[] | undefined
  max: number
}) {
  return (
    <svg className={classes.line} viewBox={`0 0 ${width} ${height}`} aria-hidden>
      {props.values && <path d={sparklinePath(props.values, { width, height, max: props.max })} />}
    </svg>
  )
})

/** Lines of the devices that are on screen, by id; asked for when scrolling rests, and once a minute. */
export function useSparklines(
  deviceIds: readonly string[],
): ReadonlyMap<string, readonly (number | null)[]> {
  const wanted = deviceIds.slice(0, sparklineDevicesMax).join(',')
  const [devices, setDevices] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => setDevices(wanted), restMs)
    return () => clearTimeout(timer)
  }, [wanted])
  const { data } = useQuery({
    queryKey: ['sparklines', devices],
    queryFn: async ({ signal }) => {
      const lines = await call('deviceSparklines', { query: { devices }, signal })
      return new Map(lines.devices.map(({ deviceId, cpuShare }) => [deviceId, cpuShare]))
    },
    enabled: devices !== '',
    placeholderData: keepPreviousData,
    refetchInterval: refetchEveryMs,
    gcTime: refetchEveryMs,
  })
  return data ?? nothing
}

const nothing: ReadonlyMap<string, readonly (number | null)[]> = new Map()
