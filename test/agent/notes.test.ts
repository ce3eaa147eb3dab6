import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { Notes } from '../../lib/agent/notes.ts'

it('waits with what it has to say until its file can be made', () => {
  const root = mkdtempSync(join(tmpdir(), 'rankzero-notes-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  onTestFinished(() => stderr.mockRestore())
  const parent = join(root, 'runs')
  const path = join(parent, '.pending', 'agent-n1.log')
  // Where a directory should be made lies a file: refused as on a full disk.
  writeFileSync(parent, '')
  const notes = new Notes()
  notes.stayAt(path)
  notes.once('no head is known')
  expect(stderr).toHaveBeenCalledWith(expect.stringContaining('no head is known'))
  rmSync(parent)
  notes.stayAt(path)
  expect(readFileSync(path, 'utf8')).toMatch(/ agent\[\d+\] no head is known\n$/)
})
