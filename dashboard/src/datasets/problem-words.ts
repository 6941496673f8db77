/** Kinds of problems as people say them. Pure. */

const words: Readonly<Record<string, string>> = {
  'unreadable-image': 'Picture that cannot be opened',
  'unreadable-label': 'Label that cannot be read',
  'image-without-labels': 'Picture without labels',
  'labels-without-image': 'Labels without a picture',
  'unknown-label': 'Unknown label',
  outside: 'Beyond the picture',
  'zero-size': 'Box without a size',
  'size-differs': 'Labels of a picture of another size',
  'same-bytes': 'The same picture again',
  tiny: 'Tiny box',
  overlapping: 'Boxes that cover each other',
  'duplicate-box': 'The same box twice',
  'whole-image': 'Box around the whole picture',
  'extreme-aspect': 'Box much longer than wide',
  'rare-label': 'Rare label',
  'missing-label': 'Label that never occurs',
  'near-copy': 'Nearly the same as another',
}

/** What is not known here is shown as the hub calls it. */
export const problemWord = (kind: string): string => words[kind] ?? kind
