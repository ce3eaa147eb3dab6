// Nothing: what the loop, the object and the two readings of the clock cost by themselves.
export const begin = () => ({ log() {}, close() {} })
