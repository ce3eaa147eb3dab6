/** What the code of a failed connection proves, for every backend that calls by HTTP. Pure. */

/** Before anything was sent: names, refused connections, certificates. */
const UNSENT = new RegExp(
  '^(UND_ERR_CONNECT_TIMEOUT|ECONNREFUSED|ENOTFOUND|EAI_\\w+|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL'
  + '|ERR_TLS_\\w+|\\w*CERT\\w*|UNABLE_TO_\\w+|EPROTO)$')

export const isUnsent = (code: string): boolean => UNSENT.test(code)

/** Nobody here knows who signed the certificate. */
export const isUntrusted = (code: string): boolean => /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)_/.test(code)
