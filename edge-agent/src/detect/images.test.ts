/** Photographs reach the canvas upright, in the right colours and at the right place. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp, { type Sharp } from 'sharp'
import { put } from '../../../test/detection/tiny-models.ts'
import type { InputView } from '../cameras/camera.ts'
import { imageEndings, listImages, readImage } from './images.ts'

/** 8×4 pixels: the left half red, the right half blue. */
function redAndBlue(): Sharp {
  const red = { create: { width: 4, height: 4, channels: 3, background: '#f00' } } as const
  return sharp(red).extend({ right: 4, background: '#00f' })
}

const view = (channels: 'rgb' | 'bgr', content: InputView['content']): InputView => ({
  width: 8,
  height: 8,
  channels,
  content,
  pad: 114,
})
const whole = { left: 0, top: 0, width: 8, height: 8 }

/** The three bytes of a pixel of an 8×8 canvas. */
const pixel = (canvas: Uint8Array, x: number, y: number): number[] => [
  ...canvas.subarray((y * 8 + x) * 3, (y * 8 + x) * 3 + 3),
]

test('readImage() writes channels in the order of the view', async (t) => {
  const file = await put(await folderFor(t), 'a.png', await redAndBlue().png().toBuffer())
  const canvas = new Uint8Array(8 * 8 * 3)
  const image = await readImage(file, () => view('rgb', whole), canvas)
  assert.deepEqual([image.width, image.height], [8, 4])
  assert.deepEqual(
    [pixel(canvas, 0, 0), pixel(canvas, 7, 7)],
    [
      [255, 0, 0],
      [0, 0, 255],
    ],
  )
  await readImage(file, () => view('bgr', whole), canvas)
  assert.deepEqual(
    [pixel(canvas, 0, 0), pixel(canvas, 7, 7)],
    [
      [0, 0, 255],
      [255, 0, 0],
    ],
  )
})

test('readImage() pads what the image does not cover', async (t) => {
  const file = await put(await folderFor(t), 'a.png', await redAndBlue().png().toBuffer())
  const canvas = new Uint8Array(8 * 8 * 3)
  await readImage(file, () => view('rgb', { left: 0, top: 2, width: 8, height: 4 }), canvas)
  assert.deepEqual(pixel(canvas, 0, 1), [114, 114, 114])
  assert.deepEqual(pixel(canvas, 0, 2), [255, 0, 0])
  assert.deepEqual(pixel(canvas, 7, 5), [0, 0, 255])
  assert.deepEqual(pixel(canvas, 7, 6), [114, 114, 114])
})

test('readImage() turns an image as its EXIF data say', async (t) => {
  // Orientation 6: to be turned a quarter clockwise, so the left half comes to the top.
  const turned = await redAndBlue()
    .withMetadata({ orientation: 6 })
    .jpeg({ quality: 100 })
    .toBuffer()
  const file = await put(await folderFor(t), 'a.jpg', turned)
  const canvas = new Uint8Array(8 * 8 * 3)
  const sizes: number[][] = []
  const image = await readImage(
    file,
    (width, height) => {
      sizes.push([width, height])
      return view('rgb', whole)
    },
    canvas,
  )
  assert.deepEqual(sizes, [[4, 8]])
  assert.deepEqual([image.width, image.height], [4, 8])
  const [red = 0, , blue = 0] = pixel(canvas, 7, 0)
  assert(red > 200 && blue < 60, `${pixel(canvas, 7, 0)}`)
  const [red2 = 0, , blue2 = 0] = pixel(canvas, 0, 7)
  assert(blue2 > 200 && red2 < 60, `${pixel(canvas, 0, 7)}`)
})

test('readImage() reads grey, palette, transparent, 16-bit and CMYK images as RGB', async (t) => {
  const folder = await folderFor(t)
  const grey = { create: { width: 4, height: 4, channels: 3, background: '#808080' } } as const
  const clear = {
    create: { width: 4, height: 4, channels: 4, background: { r: 255, g: 255, b: 255, alpha: 0 } },
  } as const
  const files = {
    grey: await sharp(grey).greyscale().jpeg().toBuffer(),
    palette: await sharp(grey).png({ palette: true }).toBuffer(),
    deep: await sharp(grey).toColourspace('rgb16').png().toBuffer(),
    cmyk: await sharp(grey).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer(),
    webp: await sharp(grey).webp({ lossless: true }).toBuffer(),
    clear: await sharp(clear).png().toBuffer(),
  }
  const canvas = new Uint8Array(8 * 8 * 3)
  for (const [name, bytes] of Object.entries(files)) {
    await readImage(await put(folder, name, bytes), () => view('rgb', whole), canvas)
    const wanted = name === 'clear' ? 0 : 128
    // Inks are converted by colour profiles, and not back to the same byte.
    const tolerance = name === 'cmyk' ? 16 : 2
    const far = canvas.findIndex((byte) => Math.abs(byte - wanted) > tolerance)
    assert.equal(far, -1, `${name}: ${pixel(canvas, 0, 0)}`)
  }
})

test('readImage() names the file it cannot read', async (t) => {
  const folder = await folderFor(t)
  const photo = await sharp({
    create: {
      width: 64,
      height: 64,
      channels: 3,
      background: '#000',
      noise: { type: 'gaussian', mean: 128, sigma: 40 },
    },
  })
    .jpeg()
    .toBuffer()
  const files = {
    'empty.jpg': '',
    'page.jpg': '<!doctype html>',
    'cut.jpg': photo.subarray(0, photo.length / 2),
  }
  const canvas = new Uint8Array(8 * 8 * 3)
  for (const [name, bytes] of Object.entries(files)) {
    const file = await put(folder, name, bytes)
    await assert.rejects(
      readImage(file, () => view('rgb', whole), canvas),
      (error: Error) => {
        assert.equal(error.name, 'ImageError')
        assert(error.message.startsWith(`Cannot read image "${file}": `), error.message)
        assert(!error.message.includes('\n'))
        return true
      },
    )
  }
})

test('listImages() lists the images of a folder by name, and files as given', async (t) => {
  const folder = await folderFor(t)
  for (const name of ['b.JPG', 'a10.png', 'a2.png', 'notes.txt', 'Z.webp']) {
    await put(folder, name, '')
  }
  await mkdir(join(folder, 'deeper.d'))
  const listed = await listImages([folder])
  assert.deepEqual(
    listed.map(({ source }) => source),
    ['Z.webp', 'a10.png', 'a2.png', 'b.JPG'],
  )
  assert.equal(listed[0]?.file, join(folder, 'Z.webp'))
  const file = join(folder, 'b.JPG')
  const given = await listImages([file, join(folder, 'notes.txt')])
  assert.deepEqual(given[0], { source: file, file })
  assert.equal(given.length, 2)
})

test('listImages() refuses what is not there and a folder without images', async (t) => {
  const folder = await folderFor(t)
  const none = join(folder, 'none')
  await assert.rejects(listImages([none]), {
    name: 'ImageError',
    message: `Cannot read images of "${none}": there is no such file or folder`,
  })
  await assert.rejects(listImages([folder]), {
    message: `Cannot read images of "${folder}": no file there ends in ${imageEndings.join(' ')}`,
  })
})

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-images-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
