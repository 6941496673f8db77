/** How the sides of a split are written down: a letter for each sample. */
export const sideLetters = { train: 't', validation: 'v', test: 'e', none: '-' } as const
