// Second step of `npm run build`: zod goes into the two files of dist/ that use it. As a package it is 95
// modules, half of them messages in other languages: 100 ms of CPU in each process that starts; so, 15 ms.
import { defineConfig } from 'rolldown'

const isZod = (id) => id === 'zod' || id.includes('/node_modules/zod/')

export default defineConfig({
  input: { 'config/schema': 'dist/config/schema.js', 'wire/bodies': 'dist/wire/bodies.js' },
  platform: 'node',
  external: (id, importer) => importer !== undefined && !isZod(id) && !isZod(importer),
  output: { dir: 'dist', entryFileNames: '[name].js', chunkFileNames: 'zod.js' },
  logLevel: 'warn',
})
