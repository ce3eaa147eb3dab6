import { expect, test } from 'vitest'
import { ERRORS } from '../../lib/errors.ts'
import { errorsMarkdown } from '../../lib/cli/errors-table.ts'

/** `npx vitest run -u test/cli/errors-table.test.ts` writes the file anew. */
test('ERRORS.md is what lib/errors.ts says', async () => {
  await expect(errorsMarkdown()).toMatchFileSnapshot('../../lib/cli/ERRORS.md')
})

test('every code is in it', () => {
  for (const code of Object.keys(ERRORS)) expect(errorsMarkdown()).toContain(`| \`${code}\` |`)
})
