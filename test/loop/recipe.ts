/** How a detector of the world is trained again after a drift. */

/** What cameras of the world do to a picture by themselves, and a little more. */
export const augment = {
  flip: 0.5,
  flipVertical: 0.5,
  scale: [0.9, 1.15],
  aspect: 0.1,
  shift: 0.1,
  brightness: 0.15,
  contrast: 0.15,
  saturation: 0.15,
}

/**
 * The middle of the net stays: what it says of edges and corners holds in any light, and codes that stay are no bytes
 * of a delta. The rows of classes go fast, as one of them may never have seen its part.
 */
export const recipe = (steps: number) => ({
  batch: 8,
  steps,
  augment,
  ema: 0.97,
  optimizer: {
    name: 'adam',
    learningRate: 3e-3,
    relative: true,
    clipNorm: 0,
    groups: [
      { match: 'map.1.*', rate: 0 },
      { match: 'map.2.*', rate: 0 },
      { match: 'map.3.*', rate: 0.25 },
      { match: 'classes.*', rate: 10 },
    ],
  },
})
