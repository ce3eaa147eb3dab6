import { rename, rm } from 'node:fs/promises'
import { COMET_ARCHIVE_CHARS } from '../../limits-comet.ts'
import { Zip } from './zip.ts'

/** Replaces the archive at `path`; one that is cut short has another name, and goes. */
export async function writeArchive(
  path: string, experiment: string, lines: AsyncIterable<string>,
): Promise<void> {
  const unfinished = `${path}.part`
  const zip = await Zip.create(unfinished)
  try {
    await zip.add('experiment.json', [Buffer.from(experiment)])
    await zip.add('messages.json', chunksOf(lines))
    await zip.end()
    await rename(unfinished, path)
  } catch (error) {
    await zip.cancel().catch(() => {})
    await rm(unfinished, { force: true })
    throw error
  }
}

/** Many short lines at once. */
async function* chunksOf(lines: AsyncIterable<string>): AsyncGenerator<Buffer> {
  let text = ''
  for await (const line of lines) {
    text += line
    if (text.length < COMET_ARCHIVE_CHARS) continue
    yield Buffer.from(text)
    text = ''
  }
  yield Buffer.from(text)
}
