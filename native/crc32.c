/* CRC-32 (IEEE), eight table look-ups per eight bytes. For blobs; a record is checked in JavaScript. */
#include "rankzero.h"

static uint32_t tables[8][256];

void rz_crc32_init(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int bit = 0; bit < 8; bit++) c = (c & 1) ? (c >> 1) ^ 0xedb88320u : c >> 1;
    tables[0][n] = c;
  }
  for (int k = 1; k < 8; k++) {
    for (int n = 0; n < 256; n++) {
      uint32_t before = tables[k - 1][n];
      tables[k][n] = (before >> 8) ^ tables[0][before & 255];
    }
  }
}

uint32_t rz_crc32(uint32_t seed, const uint8_t *p, size_t length) {
  uint32_t c = ~seed;
  for (; length >= 8; p += 8, length -= 8) {
    uint32_t a = c ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    c = tables[7][a & 255] ^ tables[6][(a >> 8) & 255] ^ tables[5][(a >> 16) & 255] ^ tables[4][a >> 24] ^
        tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
  }
  for (; length > 0; p++, length--) c = (c >> 8) ^ tables[0][(c ^ *p) & 255];
  return ~c;
}
