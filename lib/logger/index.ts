/**
 * Room logger: what a worker holds. See recorder.ts for log(), worker-run.ts for life and end, init.ts for
 * the start. Facts about the process are gathered here (facts.ts), since the room rank is pure.
 */
export { isSupervised, readFacts } from './facts.ts'
export { init } from './init.ts'
export type {
  AssetOptions, AssetReference, AssetSource, InitOptions, LogOptions, Run, Values,
} from './types.ts'
