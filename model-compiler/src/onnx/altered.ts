/** Messages that differ in a field or two from one that stays as it is. */
import { create, type Message, type MessageInitShape } from '@bufbuild/protobuf'
import type { GenMessage } from '@bufbuild/protobuf/codegenv2'

/**
 * A copy with some fields replaced; what is in the other fields is shared. A plain copy of the fields would not do: what
 * is not set has its default by way of the prototype.
 */
export function altered<T extends Message>(
  schema: GenMessage<T>,
  message: T,
  changes: Partial<Omit<T, keyof Message>>,
): T {
  const { $typeName, $unknown, ...fields } = message
  const copy = create(schema, { ...fields, ...changes } as MessageInitShape<GenMessage<T>>)
  if ($unknown) copy.$unknown = $unknown
  return copy
}
