/** node:dns/promises: names of the simulated nodes. */
import { context } from '../context.ts'

export async function lookup(name: string): Promise<{ address: string; family: number }[]> {
  const node = context().world.nodes.find((one) => one.name === name)
  if (node === undefined) throw Object.assign(new Error(`ENOTFOUND ${name}`), { code: 'ENOTFOUND' })
  return [{ address: node.address, family: 4 }]
}
