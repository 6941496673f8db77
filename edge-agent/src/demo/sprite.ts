/** A small picture that is laid over a larger one, with its shadow already in it. */

/** A picture of `width` × `height` × 3 bytes. */
export type Picture = {
  readonly width: number
  readonly height: number
  readonly rgb: Uint8Array | Uint8ClampedArray
}

export type Sprite = {
  readonly width: number
  readonly height: number
  /** What the sprite adds, three bytes a pixel, already weighted by how much it covers. */
  readonly rgb: Uint8Array
  /** What is left of the picture below, 0..255: less where the sprite or its shadow lies. */
  readonly keep: Uint8Array
  /** 1 where the thing itself is, without its shadow. */
  readonly solid: Uint8Array
}

/** Lays the sprite over the picture with its top left corner at whole pixels; what is outside is cut. */
export function drawSprite(picture: Picture, sprite: Sprite, left: number, top: number): void {
  const { width, height, rgb } = picture
  const { rgb: colour, keep } = sprite
  const firstX = Math.max(0, -left)
  const lastX = Math.min(sprite.width, width - left)
  const firstY = Math.max(0, -top)
  const lastY = Math.min(sprite.height, height - top)
  for (let y = firstY; y < lastY; y++) {
    let from = y * sprite.width + firstX
    let to = ((y + top) * width + left + firstX) * 3
    for (let x = firstX; x < lastX; x++, from++, to += 3) {
      const share = keep[from]!
      if (share === 255) continue
      rgb[to] = ((rgb[to]! * share) >> 8) + colour[from * 3]!
      rgb[to + 1] = ((rgb[to + 1]! * share) >> 8) + colour[from * 3 + 1]!
      rgb[to + 2] = ((rgb[to + 2]! * share) >> 8) + colour[from * 3 + 2]!
    }
  }
}

/** Writes `id` wherever the sprite is solid; what is outside is cut. */
export function stampSprite(
  ids: Uint8Array,
  width: number,
  height: number,
  sprite: Sprite,
  left: number,
  top: number,
  id: number,
): void {
  const firstX = Math.max(0, -left)
  const lastX = Math.min(sprite.width, width - left)
  const lastY = Math.min(sprite.height, height - top)
  for (let y = Math.max(0, -top); y < lastY; y++) {
    let from = y * sprite.width + firstX
    let to = (y + top) * width + left + firstX
    for (let x = firstX; x < lastX; x++, from++, to++) {
      if (sprite.solid[from] === 1) ids[to] = id
    }
  }
}

/**
 * Colour, coverage and a soft shadow below right, made into one sprite.
 * @param cover 0..1 for each pixel
 * @param rgb 0..255, three a pixel, not weighted
 */
export function makeSprite(
  width: number,
  height: number,
  cover: Float32Array,
  rgb: Float32Array,
  shadow: { right: number; down: number; blur: number; strength: number },
): Sprite {
  const soft = blurred(cover, width, height, shadow.blur)
  const sprite: Sprite = {
    width,
    height,
    rgb: new Uint8Array(width * height * 3),
    keep: new Uint8Array(width * height),
    solid: new Uint8Array(width * height),
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x
      const share = cover[at]!
      const fromX = x - shadow.right
      const fromY = y - shadow.down
      const dark = fromX >= 0 && fromY >= 0 ? soft[fromY * width + fromX]! * shadow.strength : 0
      sprite.keep[at] = Math.round(255 * (1 - share) * (1 - dark))
      sprite.solid[at] = share > 0.5 ? 1 : 0
      for (let c = 0; c < 3; c++) {
        sprite.rgb[at * 3 + c] = Math.min(255, Math.max(0, rgb[at * 3 + c]! * share))
      }
    }
  }
  return sprite
}

/** Two passes of a box along both axes: near enough to a Gaussian for a shadow. */
function blurred(
  values: Float32Array,
  width: number,
  height: number,
  radius: number,
): Float32Array {
  let from = values
  for (let pass = 0; pass < 2; pass++) {
    from = boxBlur(from, width, height, radius, 1, width)
    from = boxBlur(from, height, width, radius, width, 1)
  }
  return from
}

function boxBlur(
  values: Float32Array,
  length: number,
  lines: number,
  radius: number,
  step: number,
  stride: number,
): Float32Array {
  const result = new Float32Array(values.length)
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < length; i++) {
      let sum = 0
      for (let k = Math.max(0, i - radius); k <= Math.min(length - 1, i + radius); k++) {
        sum += values[line * stride + k * step]!
      }
      result[line * stride + i * step] = sum / (2 * radius + 1)
    }
  }
  return result
}
