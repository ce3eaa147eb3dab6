/**
 * Room config: what a run is told, by whom, and which source wins. See settings.ts; trainers import that
 * directly.
 */
export { fileNameOf, findSetting, SETTING_NAMES, SETTINGS, withAbsolutePaths } from './settings.ts'
export type { Found, Layer, Origin, Row, SettingName, Settings, Sources } from './settings.ts'
export { checkSettings, resolveSettings, SettingsSchema, type Resolved } from './schema.ts'
export { settingsTable } from './table.ts'
