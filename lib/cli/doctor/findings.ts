export interface Finding {
  /** error: it will not work; warning: it costs something. */
  level: 'error' | 'warning' | 'info'
  what: string
  remedy: string
}
