/** rankzero: one experiment, every rank. The only public door. */
export { EXIT, ERRORS, RankzeroError, type ErrorCode } from './errors.ts'
export {
  init, type AssetOptions, type AssetReference, type AssetSource, type InitOptions, type LogOptions, type Run,
  type Values,
} from './logger/index.ts'
export type { Reduce } from './record/index.ts'
