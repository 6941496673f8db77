/**
 * What stands still in a picture, in 280 characters: tiles that say how light and how textured it is where, and two
 * profiles of its edges. The profiles say by how much a camera was moved, to a hundredth of the picture, with any
 * earlier ones to compare with: so the box need not remember what it once saw.
 */
import {
  type Background,
  packNibbles,
  profileColumns,
  profileRows,
  tileColumns,
  tileRows,
} from '@edgeloop/protocol'
import { gateHeight, gateWidth } from '../cameras/camera.ts'

const tileWidth = gateWidth / tileColumns
const tileHeight = gateHeight / tileRows
/** Deviation of a tile's pixels, as a share of its light, that counts as flat. */
const flatShare = 0.01
/** Grey levels added to a tile's light, so that the noise of darkness is no texture. */
const darkLevel = 16
const most = 15

/** @param mean 160×90 grey levels, row by row: the mean of several pictures */
export function backgroundOf(mean: Float64Array): Background {
  const levels = new Uint8Array(tileColumns * tileRows)
  const textures = new Uint8Array(tileColumns * tileRows)
  for (let row = 0, tile = 0; row < tileRows; row++) {
    for (let column = 0; column < tileColumns; column++, tile++) {
      const { level, deviation } = tileOf(mean, column * tileWidth, row * tileHeight)
      levels[tile] = Math.min(most, level / 16)
      const share = deviation / (level + darkLevel) / flatShare
      textures[tile] = share <= 1 ? 0 : Math.min(most, Math.round(2 * Math.log2(share)))
    }
  }
  const { columns, rows } = profilesOf(mean)
  return {
    levels: packNibbles(levels),
    textures: packNibbles(textures),
    columns: packNibbles(columns),
    rows: packNibbles(rows),
  }
}

function tileOf(grey: Float64Array, left: number, top: number) {
  let sum = 0
  let squares = 0
  for (let y = top; y < top + tileHeight; y++) {
    for (let x = left; x < left + tileWidth; x++) {
      const value = grey[y * gateWidth + x]!
      sum += value
      squares += value * value
    }
  }
  const pixels = tileWidth * tileHeight
  const level = sum / pixels
  return { level, deviation: Math.sqrt(Math.max(0, squares / pixels - level * level)) }
}

/** How strong vertical edges are along the width, and horizontal ones along the height. */
function profilesOf(grey: Float64Array): { columns: Uint8Array; rows: Uint8Array } {
  const columns = new Float64Array(profileColumns)
  const rows = new Float64Array(profileRows)
  for (let y = 0; y < gateHeight - 1; y++) {
    for (let x = 0; x < gateWidth - 1; x++) {
      const i = y * gateWidth + x
      const value = grey[i]!
      columns[x >> 1]! += Math.abs(grey[i + 1]! - value)
      rows[y >> 1]! += Math.abs(grey[i + gateWidth]! - value)
    }
  }
  return { columns: quantized(columns), rows: quantized(rows) }
}

/** Against the strongest, by the root: weak edges are worth as much as strong ones for finding a place. */
function quantized(profile: Float64Array): Uint8Array {
  const strongest = Math.max(...profile)
  if (strongest === 0) return new Uint8Array(profile.length)
  return Uint8Array.from(profile, (value) => Math.round(most * Math.sqrt(value / strongest)))
}
