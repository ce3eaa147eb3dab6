import { rename, rm } from 'node:fs/promises'
import { contentOf, isThere, type Content } from '../../artifact/index.ts'
import { ARCHIVE_CONTENT_BYTES_MAX } from '../../limits-asset.ts'
import { COMET_ARCHIVE_CHARS } from '../../limits-comet.ts'
import { Zip } from './zip.ts'

/** Contents that go into an archive, by their digests; each once. */
export class Members {
  /** Of the store. */
  readonly parent: string
  private readonly members = new Map<string, Content>()
  private bytes = 0

  constructor(parent: string) {
    this.parent = parent
  }

  /** Null: it is a reference, which needs no room. */
  takes(content: Content | null): boolean {
    if (content === null || this.members.has(content.sha256)) return true
    if (this.bytes + content.size > ARCHIVE_CONTENT_BYTES_MAX || !isThere(this.parent, content)) return false
    this.bytes += content.size
    this.members.set(content.sha256, content)
    return true
  }

  all(): Iterable<Content> {
    return this.members.values()
  }
}

/** Replaces the archive at `path`; one that is cut short has another name, and goes. */
export async function writeArchive(
  path: string, experiment: string, lines: AsyncIterable<string>, members: Members,
): Promise<void> {
  const unfinished = `${path}.part`
  const zip = await Zip.create(unfinished)
  try {
    await zip.add('experiment.json', [Buffer.from(experiment)])
    await zip.add('messages.json', chunksOf(lines))
    for (const content of members.all()) await zip.add(content.sha256, contentOf(members.parent, content))
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
