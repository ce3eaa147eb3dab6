import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { relocate } from './relocate.js'

it('scripts that pip wrote start where their folder has been moved, and through a link', () => {
  const root = mkdtempSync(join(tmpdir(), 'rz-relocate-'))
  try {
    const bin = join(root, 'here', 'bin')
    mkdirSync(bin, { recursive: true })
    const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)']).toString().trim()
    symlinkSync(python, join(bin, 'python'))
    const body = '# -*- coding: utf-8 -*-\nimport sys\nprint("ü", sys.argv[1:])\n'
    writeFileSync(join(bin, 'tool'), `#!${bin}/python3\n${body}`, { mode: 0o755 })
    writeFileSync(join(bin, 'other'), '#!/bin/sh\necho other "$0"\n', { mode: 0o700 })
    relocate(bin)
    relocate(bin)
    renameSync(join(root, 'here'), join(root, 'a b'))
    symlinkSync(join(root, 'a b/bin/tool'), join(root, 'link'))
    const env = { ...process.env, PYTHONIOENCODING: 'utf-8' }
    for (const path of [join(root, 'a b/bin/tool'), join(root, 'link')]) {
      expect(execFileSync(path, ['x y', '$z'], { env }).toString()).toBe("ü ['x y', '$z']\n")
    }
    expect(execFileSync(join(root, 'a b/bin/other')).toString()).toContain('other')
    expect(statSync(join(root, 'a b/bin/tool')).mode & 0o777).toBe(0o755)
  } finally {
    rmSync(root, { recursive: true })
  }
})
