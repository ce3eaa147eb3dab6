/** The numbers of limits.ts for configuration. Same rules. */

/** Largest configuration, of a file or the central one, and its signature (bytes): some settings as JSON. */
export const CONFIG_BYTES_MAX = 1024 * 1024
export const CONFIG_SIGNATURE_BYTES_MAX = 4096
/** The server of the central configuration must answer within this (ms): before COMMAND starts. */
export const CONFIG_FETCH_MS = 5000
/** A daemon takes a copy of the central configuration that was asked for within this (ms) as it is. */
export const CONFIG_FRESH_MS = 60_000
/**
 * A key: largest (bytes), and how long (ms) a command may take to tell it: a vault asks others, and a starter
 * waits DAEMON_READY_MS in all.
 */
export const KEY_BYTES_MAX = 16 * 1024
export const KEY_COMMAND_MS = 10_000
