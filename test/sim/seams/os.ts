/** node:os as the code under test sees it. */
import { me } from '../context.ts'

export { constants, userInfo } from 'node:os'
export const hostname = (): string => me().node.name
export const homedir = (): string => '/home'
export const loadavg = (): number[] => [0, 0, 0]
export const totalmem = (): number => 2 ** 34
export const freemem = (): number => 2 ** 33
export const cpus = (): object[] => []
export const availableParallelism = (): number => 1

export function networkInterfaces(): object {
  const { address } = me().node
  return { eth0: [{ address, family: 'IPv4', internal: false }] }
}
