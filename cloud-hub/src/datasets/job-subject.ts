/** Subject of the jobs of a dataset: those of models have `NAME/VERSION`. */
const begin = 'datasets/'

export const subjectOf = (dataset: string): string => `${begin}${dataset}`
export const datasetOfSubject = (subject: string): string => subject.slice(begin.length)
