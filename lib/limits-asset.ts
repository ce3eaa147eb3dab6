/** The numbers of limits.ts for assets. Same rules. */
const KiB = 1024
const MiB = 1024 * KiB

/** Content of one asset: what fits a zip with room for others; above it, a reference. */
export const ASSET_BYTES_MAX = 2 * 1024 * MiB
/** It is read, hashed and sent in pieces of this size. */
export const ASSET_CHUNK_BYTES = MiB
/** A URI, and a type, in UTF-16 units. */
export const ASSET_URI_CHARS_MAX = 8 * KiB
export const ASSET_TYPE_CHARS_MAX = 100
/** Tags of one call, and of a run. */
export const TAGS_MAX = 1000
/** Newest assets that `status` lists; all are counted. */
export const ASSETS_SHOWN_MAX = 1000
/** One upload may take this long (ms): ASSET_BYTES_MAX at 5 Mbit/s. */
export const ASSET_SEND_MS = 3_600_000
/**
 * Assets whose bytes are not at the head are put aside, and looked for again at the end. Each note of a
 * delivery names them all, so there are so many at most, of so many bytes of JSON; with the next, all wait.
 */
export const [ASSETS_ASIDE_MAX, ASSETS_ASIDE_BYTES_MAX] = [100, 64 * KiB] as const
/** Contents of one archive, all together: zips of 4 GiB need no extensions. */
export const ARCHIVE_CONTENT_BYTES_MAX = 3 * 1024 * MiB
