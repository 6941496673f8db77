/** Formats of datasets as people call them. */
import type { DatasetFormat } from '@edgeloop/protocol'

export const formatWords: Readonly<Record<DatasetFormat, string>> = {
  coco: 'COCO',
  yolo: 'YOLO',
  voc: 'Pascal VOC',
  cvat: 'CVAT',
  'label-studio': 'Label Studio',
  folders: 'One folder a class',
  masks: 'Masks',
  idx: 'MNIST (idx)',
  frozen: 'Frozen by Edgeloop',
}
