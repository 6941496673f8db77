/**
 * The migrations are written once, in SQLite's words. What PostgreSQL calls otherwise is translated here and
 * nowhere else: integers hold milliseconds and so are 64 bits wide, an integer primary key numbers itself, a
 * real number has double precision, and tables are strict without being told.
 */
import {
  ColumnDefinitionNode,
  ColumnNode,
  type CreateIndexNode,
  type CreateTableNode,
  DataTypeNode,
  GeneratedNode,
  type KyselyPlugin,
  OperationNodeTransformer,
  RawNode,
} from 'kysely'

/** Makes the steps of `migrations.ts` run on PostgreSQL. */
export const postgresSchema: KyselyPlugin = {
  transformQuery: ({ node }) => translator.transformNode(node),
  transformResult: async ({ result }) => result,
}

class Translator extends OperationNodeTransformer {
  protected override transformDataType(node: DataTypeNode): DataTypeNode {
    const name = names[node.dataType]
    return name ? DataTypeNode.create(name) : node
  }

  protected override transformColumnDefinition(node: ColumnDefinitionNode): ColumnDefinitionNode {
    const column = super.transformColumnDefinition(node)
    const isKey = node.primaryKey === true && isInteger(node)
    if (!isKey || node.generated) return column
    const generated = GeneratedNode.create({ byDefault: true, identity: true })
    return ColumnDefinitionNode.cloneWith(column, { generated })
  }

  protected override transformCreateTable(node: CreateTableNode): CreateTableNode {
    const table = super.transformCreateTable(node)
    if (!table.endModifiers) return table
    return { ...table, endModifiers: table.endModifiers.filter((modifier) => !isStrict(modifier)) }
  }

  /** SQLite appends the row id to every index, and pages of events are read backwards along it. */
  protected override transformCreateIndex(node: CreateIndexNode): CreateIndexNode {
    const index = super.transformCreateIndex(node)
    if (index.table?.table.identifier.name !== 'event' || index.unique) return index
    return { ...index, columns: [...(index.columns ?? []), ColumnNode.create('event_id')] }
  }
}
const translator = new Translator()

const names: Readonly<Partial<Record<DataTypeNode['dataType'], DataTypeNode['dataType']>>> = {
  integer: 'bigint',
  real: 'double precision',
  blob: 'bytea',
}

const isInteger = ({ dataType }: ColumnDefinitionNode): boolean =>
  DataTypeNode.is(dataType) && dataType.dataType === 'integer'

const isStrict = (node: object): boolean =>
  RawNode.is(node as RawNode) && (node as RawNode).sqlFragments.join('').trim() === 'strict'
