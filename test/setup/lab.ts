/** Before each test file of the lab. */
import { provided } from './provided.ts'

await provided('base')
