/**
 * Where agents reach this aggregator: on loopback for those of this node, with the secret of the meeting; on
 * all interfaces for those of others, with the run secret. Frames of both go the same way.
 */
import { join } from 'node:path'
import { announce } from '../agent/announce.ts'
import { ownAddresses } from '../agent/names.ts'
import type { Diary } from '../diary.ts'
import { messageOf } from '../errors.ts'
import { meetingSecretPath, writeShared } from '../lock/index.ts'
import type { Endpoint } from '../record/run-status.ts'
import { bindRouter, bindWide, ensureKeys, readKeys, type Router } from '../transport/index.ts'

export interface ListenOptions {
  meeting: string
  term: number
  /** Run directory. */
  dir: string
  lockDir: string
  /** Other nodes may take part. */
  wide: boolean
  /** Setting; null: one is made in the run directory. */
  secretFile: string | null
  onFrame(frame: Buffer, reply: (bytes: Uint8Array) => void): void
  /** Names of hosts that may lead other nodes here. */
  hosts(): Iterable<string>
  diary: Diary
}

export interface Ears {
  /** Of the loopback socket. */
  readonly port: number
  /** For other nodes, with the addresses that this host has now; null: none can come. */
  wide(): NonNullable<Endpoint['wide']> | null
  /** Connections without the secret. */
  readonly denied: number
  close(): void
}

export async function listen(options: ListenOptions): Promise<Ears> {
  const onFrame = (router: () => Router) => (peer: Buffer, frame: Buffer): void =>
    options.onFrame(frame, (bytes) => void router().send(peer, bytes))
  const keys = ensureKeys(meetingSecretPath(options.lockDir, options.meeting))
  const near: Router = await bindRouter({ host: '127.0.0.1', port: 0, keys, onFrame: onFrame(() => near) })
  const far = options.wide ? await listenWide(options, onFrame) : null
  return {
    port: near.port,
    wide: () => far === null ? null
      : { port: far.router.port, addresses: ownAddresses(), secretFile: far.secretFile },
    get denied() { return near.denied + (far?.router.denied ?? 0) },
    close() {
      far?.close()
      near.close()
    },
  }
}

type OnFrame = (router: () => Router) => (peer: Buffer, frame: Buffer) => void

/** Null: it cannot be; the ranks of this node are served all the same. */
async function listenWide(
  options: ListenOptions, onFrame: OnFrame,
): Promise<{ router: Router; secretFile: string; close: () => void } | null> {
  const { meeting, term, dir, hosts, diary } = options
  try {
    const secretFile = options.secretFile ?? join(dir, 'secret')
    const keys = options.secretFile === null ? ensureKeys(secretFile) : readKeys(secretFile)
    const router: Router = await bindWide({ port: 0, keys, onFrame: onFrame(() => router) })
    const here = (): { hosts: string[]; port: number } => ({ hosts: ownAddresses(), port: router.port })
    const silence = announce({ meeting, keys, term, here, hosts })
    diary(`listens for other nodes on port ${router.port}`)
    const close = (): void => {
      silence()
      router.close()
    }
    return { router, secretFile, close }
  } catch (error) {
    diary(`other nodes cannot join: ${messageOf(error)}`)
    return null
  }
}

/** A parent directory that cannot be written leads nobody here; signposts may. */
export function showToOthers(parent: string, endpoint: Endpoint, diary: Diary): void {
  try {
    writeShared(parent, endpoint)
  } catch (error) {
    diary(`no endpoint file for other nodes: ${messageOf(error)}`)
  }
}
