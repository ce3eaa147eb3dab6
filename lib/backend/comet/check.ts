import { monotonicMs } from '../../clock.ts'
import type { Key } from '../../config/keys.ts'
import { COMET_CHECK_MS, COMET_SKEW_MS } from '../../limits-comet.ts'
import { Budget } from '../core-budget.ts'
import type { BackendCheck, Finding } from '../port.ts'
import {
  isAnswer, isDenied, messageOf, remedyOf, skewText, type Answer, type Failure,
} from './core-answer.ts'
import { projectOf } from './core-names.ts'
import { askProjects, askVersion, askWorkspaces, type Request } from './core-requests.ts'
import { apiKeyOf, Http } from './http.ts'
import { proxyOf } from './proxies.ts'

export interface CheckOptions {
  server: string
  key: Key
  /** Null: the default one of the key. */
  workspace: string | null
  project: string
}

/** What the REST API of a server needs, as the vendor's own client has it. */
const VERSION_MIN = [1, 2, 78]

/** Asks the server what a run will need of it, and makes nothing there. */
export async function check(options: CheckOptions): Promise<BackendCheck> {
  const { server, key, workspace, project } = options
  const all = { max: Infinity, windowMs: 1 }
  const rates = { calls: all, metric: all, parameter: all, output: all, other: all }
  const http = new Http({ server, apiKey: apiKeyOf(key), budget: new Budget(rates, true, 0), log: null })
  const one = new Check(http, options)
  try {
    const [isThere, proxy] = await proxyOf(server, () => one.server())
    const keyIs = 'why' in key ? 'missing' : !isThere ? 'not asked' : await one.key()
    const { skewMs } = http
    if (Math.abs(skewMs ?? 0) >= COMET_SKEW_MS) {
      one.found('warning', skewText(skewMs!), 'keep clocks with ntp or chrony')
    }
    const facts = {
      server, proxy: proxy ?? 'none', version: one.version, key: keyIs, workspace: one.workspace ?? workspace,
      project: projectOf(project), clockMs: skewMs, callsLeft: one.callsLeft,
    }
    return { name: 'comet', facts, findings: one.findings }
  } finally {
    http.close()
  }
}

class Check {
  readonly findings: Finding[] = []
  version: string | null = null
  /** The one that a run will be in. */
  workspace: string | null = null
  /** As far as the server says. */
  callsLeft: number | null = null
  private readonly http: Http
  private readonly options: CheckOptions
  private readonly late = AbortSignal.timeout(COMET_CHECK_MS)
  private readonly until = monotonicMs() + COMET_CHECK_MS

  constructor(http: Http, options: CheckOptions) {
    this.http = http
    this.options = options
    const { server, key } = options
    const { protocol, hostname } = new URL(server)
    if ('why' in key) {
      this.found('error', key.why,
        'set it where rankzero runs; COMMAND of `rankzero run` does not see it, so ask outside of it')
    } else if (protocol === 'http:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)) {
      this.found('warning', `the API key goes to ${server} as everybody on the way can read it`, 'use https')
    }
  }

  found(level: Finding['level'], what: string, remedy: string): void {
    this.findings.push({ level, what: `comet: ${what}`, remedy })
  }

  /** Whether somebody is there who may be asked more. */
  async server(): Promise<boolean> {
    const { server } = this.options
    const got = await this.ask(askVersion)
    const remedy = 'check COMET_URL_OVERRIDE, and HTTPS_PROXY if there is a proxy'
    if (!isAnswer(got)) {
      this.found('error', `${server} cannot be asked: ${got.message}`, remedyOf(got) || remedy)
      return false
    }
    const version = got.body?.['version']
    if (got.status !== 200 || typeof version !== 'string') {
      const said = messageOf(got, 'isAlive/ver')
      this.found('error', `${server} does not answer as a Comet server: ${said}`, remedy)
      return false
    }
    this.version = version
    if (isOlder(version, VERSION_MIN)) {
      const least = VERSION_MIN.join('.')
      this.found('error', `the server has version ${version}, and ${least} is needed`, 'have it updated')
    }
    return true
  }

  async key(): Promise<'valid' | 'refused' | 'not asked'> {
    const got = await this.ask(askWorkspaces)
    const names = isAnswer(got) && got.status === 200 ? got.body?.['workspaceNames'] : null
    if (Array.isArray(names)) {
      await this.place(names.map(String))
      return 'valid'
    }
    if (isAnswer(got) && isDenied(got)) {
      this.found('error', `the API key is refused: ${messageOf(got, 'workspaces')}`,
        'take the one that the settings of your Comet account show; of this server, if there are several')
      return 'refused'
    }
    this.unanswered(got, 'workspaces')
    return 'not asked'
  }

  /** Whether the run's project is there, or will be. */
  private async place(spaces: readonly string[]): Promise<void> {
    const { workspace, project } = this.options
    this.workspace = workspace ?? (spaces.length === 1 ? spaces[0]! : null)
    if (workspace !== null && !spaces.includes(workspace)) {
      this.found('error', `the API key has no workspace ${workspace}; it has ${spaces.join(', ') || 'none'}`,
        'name one of them: --workspace, or COMET_WORKSPACE')
    } else if (this.workspace !== null) {
      const got = await this.ask(askProjects(this.workspace))
      const found = isAnswer(got) && got.status === 200 ? got.body?.['projects'] : null
      if (!Array.isArray(found)) return this.unanswered(got, 'projects')
      const name = projectOf(project)
      const isThere = found.some((one: { projectName?: unknown } | null) => one?.projectName === name)
      if (!isThere) {
        this.found('info', `workspace ${this.workspace} has no project ${name} yet`,
          'the first run makes it; if that is wrong: --project, or COMET_PROJECT_NAME')
      }
    }
  }

  private unanswered(got: Answer | Failure, what: string): void {
    const said = isAnswer(got) ? messageOf(got, what) : `${what}: ${got.message}`
    const isBusy = isAnswer(got) && got.status === 429
    this.found('warning', isBusy ? `the calls of this API key are used up: ${said}` : said,
      isBusy ? 'wait, or let the jobs that share it make fewer: RANKZERO_COMET_CALLS' : 'try again later')
  }

  private async ask(request: Request): Promise<Answer | Failure> {
    const got = await this.http.call(request, this.late, true)
    if ('waitMs' in got) throw new Error('an urgent call does not wait')
    if (!isAnswer(got)) {
      const isLate = monotonicMs() >= this.until
      return isLate ? { code: 'ETIMEDOUT', message: `no answer in ${COMET_CHECK_MS / 1000} s` } : got
    }
    const left = Object.entries(got.headers).find(([name]) => /^(x-)?rate-?limit-remaining$/.test(name))?.[1]
    if (/^\d+$/.test(left ?? '')) this.callsLeft = Number(left)
    return got
  }
}

function isOlder(version: string, least: readonly number[]): boolean {
  const parts = version.split('.').map(Number)
  const differs = least.findIndex((part, at) => (parts[at] ?? 0) !== part)
  return differs >= 0 && (parts[differs] ?? 0) < least[differs]!
}
