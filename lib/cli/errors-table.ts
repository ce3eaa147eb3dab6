import { ERRORS, EXIT } from '../errors.ts'

const MEANING: Record<keyof typeof EXIT, string> = {
  ok: 'done; `run`: COMMAND exited with 0',
  unbalanced: '`audit`: the books do not balance; `drill`: not exactly once; or a failure of rankzero itself',
  usage: 'an option, argument or variable cannot be used; nothing was started',
  noSuchRun: 'there is no such run',
  pending: '`sync`: something is still pending',
  collision: 'the experiment key (or a lock) is held by another run; COMMAND was not started',
  notExecutable: '`run`: COMMAND cannot be executed',
  notFound: '`run`: COMMAND was not found',
}

/** The text of ERRORS.md. It is written by `npx vitest run -u test/cli/errors-table.test.ts`. */
export function errorsMarkdown(): string {
  const exits = Object.entries(EXIT) as [keyof typeof EXIT, number][]
  return [
    '# Exit statuses and error codes',
    '',
    'This file is generated from `lib/errors.ts`; a test holds them equal.',
    '',
    '`rankzero run` exits with the status of COMMAND, 128+n when signal n ended it, whatever happened to us.',
    'Only before COMMAND starts it exits with a status of its own. Match on codes, never on texts.',
    '',
    '| exit status | meaning |',
    '|---|---|',
    ...exits.map(([name, status]) => `| ${status} | ${MEANING[name]} |`),
    '',
    '| code | exit status | meaning |',
    '|---|---|---|',
    ...Object.entries(ERRORS).map(([code, { exit, meaning }]) => `| \`${code}\` | ${exit} | ${meaning} |`),
    '',
  ].join('\n')
}
