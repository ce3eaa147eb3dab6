/**
 * Bundles the simulator with the real code of lib/, in which the modules that reach outside are exchanged for
 * those of seams/. No line of lib/ knows of it; a mutation exchanges one piece of text on the way.
 */
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { build } from 'vite'

const HERE = import.meta.dirname
const ROOT = join(HERE, '../..')

/** Modules as lib/ names them, by the end of their path, and what stands in for them. */
const SEAMS = {
  'node:fs': 'fs.ts', 'node:os': 'os.ts', 'node:crypto': 'crypto.ts', 'node:dns/promises': 'dns.ts',
  'lib/transport/index.ts': 'transport.ts', 'lib/ledger/index.ts': 'ledger.ts',
  'lib/ledger/lockdb.ts': 'ledger.ts', 'lib/journal/index.ts': 'journal.ts',
  'lib/journal/process.ts': 'process.ts', 'lib/backend/jsonl.ts': 'backend.ts', 'lib/native.ts': 'native.ts',
}

/**
 * Waiting, and looking while one waits, would be most of what is simulated: these numbers (ms) are smaller
 * here, in the same order among themselves.
 */
const SHORTER = {
  'lib/limits.ts': {
    JOIN_TIMEOUT_MS: 15_000, MEMBER_SILENT_MS: 30_000, HEAD_PATIENCE_MS: 20_000,
    HEAD_START_PAUSE_MS_MAX: 8000, SNAPSHOT_INTERVAL_MS: 1000, TICK_REST_MS: 200, TICK_IDLE_MS: 200,
    DRAIN_BUSY_MS: 50,
    END_POLL_MS: 100,
  },
  'lib/limits-outbox.ts': { OUTBOX_SEND_MS: 8000, OUTBOX_STALL_MS: 6000, OUTBOX_RETRY_MS_MAX: 6000 },
}

function shorter(file, text) {
  for (const [name, ms] of Object.entries(SHORTER[file])) {
    const place = new RegExp(`(?<=export const ${name} = )[\\d_]+$`, 'm')
    if (!place.test(text)) throw new Error(`${file} has no ${name}`)
    text = text.replace(place, String(ms))
  }
  return text
}

/**
 * @typedef {{ file: string, find: string, replace: string }} Piece
 * @param {Piece & { also?: Piece } | null} mutation
 * @returns {Promise<string>} path of the bundle
 */
export async function bundle(mutation = null) {
  const outDir = mkdtempSync(join(tmpdir(), 'rz-sim-'))
  const pieces = mutation === null ? [] : [mutation, ...mutation.also ? [mutation.also] : []]
  const mutated = new Set()
  const seams = {
    name: 'seams', enforce: 'pre',
    async resolveId(source, importer) {
      const from = relative(ROOT, importer ?? '')
      if (!from.startsWith('lib/')) return null
      const name = source.startsWith('.') ? relative(ROOT, join(ROOT, from, '..', source)) : source
      const seam = SEAMS[name]
      return seam === undefined ? null : join(HERE, 'seams', seam)
    },
    load(id) {
      const file = relative(ROOT, id)
      if (Object.hasOwn(SHORTER, file)) return shorter(file, readFileSync(id, 'utf8'))
      const piece = pieces.find((one) => one.file === file)
      if (piece === undefined) return null
      const text = readFileSync(id, 'utf8')
      const places = text.split(piece.find).length - 1
      if (places !== 1) throw new Error(`${file} has ${places} places that read\n${piece.find}`)
      mutated.add(piece)
      return text.replace(piece.find, () => piece.replace)
    },
  }
  await build({
    root: ROOT, configFile: false, logLevel: 'error', plugins: [seams],
    ssr: { noExternal: true, target: 'node' },
    build: {
      ssr: join(HERE, 'main.ts'), outDir, minify: false, emptyOutDir: false, target: 'node20',
      rollupOptions: { output: { entryFileNames: 'sim.mjs' } },
    },
  })
  const left = pieces.find((one) => !mutated.has(one))
  if (left !== undefined) throw new Error(`${left.file} is not part of the simulator`)
  return join(outDir, 'sim.mjs')
}
