/** What our HTTP clients share: the proxies of the environment, and how much of an answer is read. */

/** In either case, as everybody writes them; one that is set to nothing does not count. */
export function proxiesOf(
  env: Readonly<Record<string, string | undefined>>,
): Record<'httpProxy' | 'httpsProxy' | 'noProxy', string> {
  const of = (name: string): string => env[name.toLowerCase()] || env[name] || ''
  return { httpProxy: of('HTTP_PROXY'), httpsProxy: of('HTTPS_PROXY'), noProxy: of('NO_PROXY') }
}

/** The first `bytesMax` bytes; what comes beyond is read and forgotten, so that the connection is free. */
export async function firstOf(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let left = bytesMax
  for await (const part of body) {
    parts.push(part.subarray(0, left))
    left = Math.max(0, left - part.length)
  }
  return Buffer.concat(parts)
}

/** Header values, of which undici gives one or several. */
export const headerOf = (
  headers: Readonly<Record<string, string | string[] | undefined>>, name: string,
): string | null => {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value) ?? null
}
