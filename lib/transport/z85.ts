/** Z85 (ZeroMQ RFC 32): four bytes as five characters, the form in which zeromq takes its keys. */
const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** `bytes` are a multiple of four. */
export function z85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    let group = ''
    for (let rest = view.getUint32(at), n = 0; n < 5; n++, rest = Math.floor(rest / 85)) {
      group = DIGITS[rest % 85] + group
    }
    text += group
  }
  return text
}
