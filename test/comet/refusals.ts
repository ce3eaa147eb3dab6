/** Refusals as the server says them: status, `msg`, and the vendor's `sdk_error_code` (comet.md 1.2). */

/** Codes by name; the number is what clients look at. */
export const CODE = {
  noSuchKey: 90_212, noSuchWorkspace: 90_219, noProjectName: 98_219, longProjectName: 1_341_241,
  noWriteAccess: 90_210, noSuchRun: 90_211, keyNotGiven: 90_998, exists: 90_999,
  noArtifactVersion: 624_523, artifactVersionExists: 90_399, artifactState: 90_410,
  artifactImmutable: 90_401, experimentLimit: 7_000_020,
} as const

/** Assets of which an experiment holds only so many (comet.md 1.9), with the codes of comet-wire.md 1. */
export const ASSET_LIMITS: Record<string, { most: number; code: number }> = {
  'image': { most: 100_000, code: 7_000_001 },
  'text-sample': { most: 500, code: 7_000_012 },
  'curve': { most: 1_000, code: 7_000_015 },
  'video': { most: 5_000, code: 7_000_018 },
}

export class Refusal extends Error {
  readonly status: number
  readonly code: number | undefined
  readonly headers: Record<string, string>

  constructor(status: number, msg: string, code?: number, headers: Record<string, string> = {}) {
    super(msg)
    this.status = status
    this.code = code
    this.headers = headers
  }

  get answer(): object {
    const { status, message, code } = this
    return { msg: message, code: status, data: null, ...code === undefined ? {} : { sdk_error_code: code } }
  }
}

export const refuse = (msg: string, code?: number): never => { throw new Refusal(400, msg, code) }
