/**
 * Text of others for a terminal. Pure.
 * Controls could move the cursor, recolour or retitle it, and direction marks make a line read as another:
 * each is shown as its code.
 */
const NOT_SHOWN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

export const printable = (text: string): string =>
  text.replace(NOT_SHOWN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** All texts of a tree of plain data, its keys too. */
export function printableAll<T>(value: T): T {
  if (typeof value === 'string') return printable(value) as T
  if (Array.isArray(value)) return value.map(printableAll) as T
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([key, one]) => [printable(key), printableAll(one)])
  return Object.fromEntries(fields) as T
}
