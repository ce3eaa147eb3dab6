/**
 * Which fields a request may have, of which type. A field that the vendor's clients were never seen to send
 * is refused: a slip of our own client is found here and not at a customer's.
 */

/** `?` after a type: the field may be absent or null. */
export type Type =
  'str' | 'int' | 'num' | 'bool' | 'scalar' | 'number or str' | 'value' | 'list' | 'map' | 'any'
export type Shape = { [field: string]: Type | `${Type}?` | [Shape] | [Type] }

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isScalar = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value)

const IS: Record<Type, (value: unknown) => boolean> = {
  'str': (value) => typeof value === 'string',
  'int': (value) => typeof value === 'number' && Number.isInteger(value),
  'num': (value) => typeof value === 'number',
  'bool': (value) => typeof value === 'boolean',
  'scalar': isScalar,
  'number or str': (value) => typeof value === 'number' || typeof value === 'string',
  'value': (value) => value === null || isScalar(value) || Array.isArray(value),
  'list': Array.isArray,
  'map': isMap,
  'any': () => true,
}

/** What is wrong with `value`, with its place; null when nothing is. */
export function wrongWith(value: unknown, shape: Shape): string | null {
  if (!isMap(value)) return ' is no object'
  for (const field in value) if (!Object.hasOwn(shape, field)) return `: there is no field ${field}`
  for (const field in shape) {
    const wrong = wrongField(value[field], shape[field]!)
    if (wrong !== null) return `.${field}${wrong}`
  }
  return null
}

function wrongField(value: unknown, type: Shape[string]): string | null {
  if (typeof type !== 'string') {
    if (!Array.isArray(value)) return ' is no list'
    const [of] = type
    for (const [index, item] of value.entries()) {
      const wrong = typeof of === 'string' ? wrongField(item, of) : wrongWith(item, of)
      if (wrong !== null) return `[${index}]${wrong}`
    }
    return null
  }
  const optional = type.endsWith('?')
  if (optional && (value === undefined || value === null)) return null
  if (value === undefined) return ' is missing'
  const bare = (optional ? type.slice(0, -1) : type) as Type
  return IS[bare](value) ? null : ` is not ${bare}`
}

/** Query values are text: numbers and booleans (Python writes `True`) become what the shape says they are. */
export function fromQuery(query: URLSearchParams, shape: Shape): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [field, text] of query) {
    const type = String(shape[field] ?? '').replace('?', '')
    if (type === 'int' && /^-?\d+$/.test(text)) fields[field] = Number(text)
    else if (type === 'bool' && /^(true|false)$/i.test(text)) fields[field] = /^true$/i.test(text)
    else fields[field] = text
  }
  return fields
}
