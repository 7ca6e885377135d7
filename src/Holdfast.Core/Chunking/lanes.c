/* SHA-256 (FIPS 180-4) of sixteen messages at once, one in each 32-bit lane of the AVX-512 registers. Built into libholdfast-lanes.so where clang is at hand; Lanes.cs
   loads it, checks it, and does without where it is not there. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 16
#define SIZE 64 /* bytes of a block */
#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define INLINE AVX512 __attribute__((always_inline)) static inline

/* Constants of FIPS 180-4, sections 4.2.2 and 5.3.3. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

#define ADD _mm512_add_epi32
#define ROTR _mm512_ror_epi32
#define XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define CH(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xca)
#define MAJ(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xe8)
#define SUM0(x) XOR3(ROTR(x, 2), ROTR(x, 13), ROTR(x, 22))
#define SUM1(x) XOR3(ROTR(x, 6), ROTR(x, 11), ROTR(x, 25))
#define SIGMA0(x) XOR3(ROTR(x, 7), ROTR(x, 18), _mm512_srli_epi32(x, 3))
#define SIGMA1(x) XOR3(ROTR(x, 17), ROTR(x, 19), _mm512_srli_epi32(x, 10))

/* The letters are variables that change places from round to round, not values that move. */
#define ROUND(a, b, c, d, e, f, g, h, t) do { \
        const __m512i t1 = ADD(ADD(h, ADD(w[(t) & 15], _mm512_set1_epi32((int)k[t]))), ADD(SUM1(e), CH(e, f, g))); \
        d = ADD(d, t1); \
        h = ADD(t1, ADD(SUM0(a), MAJ(a, b, c))); \
    } while (0)

/* Word t of the schedule takes the place of word t - 16. */
#define SCHEDULE(t) \
    w[(t) & 15] = ADD(ADD(w[(t) & 15], SIGMA0(w[((t) + 1) & 15])), ADD(w[((t) + 9) & 15], SIGMA1(w[((t) + 14) & 15])))
#define GIVEN(t) (void)0

#define ROUNDS8(t, word) do { \
        word((t)); ROUND(a, b, c, d, e, f, g, h, (t)); \
        word((t) + 1); ROUND(h, a, b, c, d, e, f, g, (t) + 1); \
        word((t) + 2); ROUND(g, h, a, b, c, d, e, f, (t) + 2); \
        word((t) + 3); ROUND(f, g, h, a, b, c, d, e, (t) + 3); \
        word((t) + 4); ROUND(e, f, g, h, a, b, c, d, (t) + 4); \
        word((t) + 5); ROUND(d, e, f, g, h, a, b, c, (t) + 5); \
        word((t) + 6); ROUND(c, d, e, f, g, h, a, b, (t) + 6); \
        word((t) + 7); ROUND(b, c, d, e, f, g, h, a, (t) + 7); \
    } while (0)

INLINE void compress(__m512i state[8], __m512i w[16])
{
    __m512i a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    ROUNDS8(0, GIVEN);
    ROUNDS8(8, GIVEN);
    ROUNDS8(16, SCHEDULE);
    ROUNDS8(24, SCHEDULE);
    ROUNDS8(32, SCHEDULE);
    ROUNDS8(40, SCHEDULE);
    ROUNDS8(48, SCHEDULE);
    ROUNDS8(56, SCHEDULE);
    state[0] = ADD(state[0], a);
    state[1] = ADD(state[1], b);
    state[2] = ADD(state[2], c);
    state[3] = ADD(state[3], d);
    state[4] = ADD(state[4], e);
    state[5] = ADD(state[5], f);
    state[6] = ADD(state[6], g);
    state[7] = ADD(state[7], h);
}

/* From sixteen words of one lane in each register to one word of all lanes in each. */
INLINE void transpose(__m512i w[16])
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(w[i], w[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(w[i], w[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        w[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        w[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        w[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        w[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(w[i], w[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(w[i], w[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(w[i + 8], w[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(w[i + 8], w[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        w[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        w[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        w[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        w[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* 1 where this processor and its system have what holdfast_lanes needs. */
int holdfast_lanes_usable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

/* One message on its way through a lane: whole blocks where they lie, then the padded end (FIPS 180-4, section 5.1.1) out of memory of its own. */
struct lane {
    const uint8_t *next;
    size_t blocks;       /* left of what next points at */
    const uint8_t *rest; /* what follows the whole blocks, under 64 bytes; null once the end is on its way */
    size_t length;       /* bytes of the message */
    int message;         /* its number; -1 where there was none for this lane */
    uint8_t end[2 * SIZE];
};

static void end_message(struct lane *lane)
{
    const size_t rest = lane->length % SIZE;
    lane->blocks = rest + 9 <= SIZE ? 1 : 2;
    __builtin_memset(lane->end, 0, sizeof lane->end);
    __builtin_memcpy(lane->end, lane->rest, rest);
    lane->end[rest] = 0x80;
    const uint64_t bits = __builtin_bswap64(8 * (uint64_t)lane->length);
    __builtin_memcpy(lane->end + lane->blocks * SIZE - 8, &bits, 8);
    lane->next = lane->end;
    lane->rest = 0;
}

static void begin_message(struct lane *lane, const uint8_t *message, size_t length)
{
    lane->next = message;
    lane->blocks = length / SIZE;
    lane->rest = message + lane->blocks * SIZE;
    lane->length = length;
    if (lane->blocks == 0)
        end_message(lane);
}

/* SHA-256 of count messages: message i is lengths[i] bytes at base + offsets[i], its digest goes to digests + 32 i. A lane that is done takes the next message, so lanes
   are best used where the longest come first. */
AVX512 void holdfast_lanes(const uint8_t *base, const int32_t *offsets, const int32_t *lengths, int32_t count, uint8_t *digests)
{
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3)); /* words are big-endian */
    struct lane lanes[LANES];
    uint32_t words[8][LANES]; /* the lanes' states */
    int32_t begun = 0;
    int busy = 0;
    for (int i = 0; i < LANES; i++)
        lanes[i].message = -1;
    for (int i = 0; i < LANES && begun < count; i++, begun++, busy++) {
        lanes[i].message = begun;
        begin_message(&lanes[i], base + offsets[begun], (size_t)lengths[begun]);
        for (int k = 0; k < 8; k++)
            words[k][i] = start[k];
    }
    while (busy > 0) {
        const uint8_t *from[LANES], *some = 0;
        size_t blocks = SIZE_MAX; /* as many as all busy lanes have */
        for (int i = 0; i < LANES; i++) {
            if (lanes[i].message < 0)
                continue;
            some = lanes[i].next;
            if (lanes[i].blocks < blocks)
                blocks = lanes[i].blocks;
        }
        for (int i = 0; i < LANES; i++)
            from[i] = lanes[i].message < 0 ? some : lanes[i].next; /* an idle lane does over what another does: it must read something */

        __m512i state[8], w[16];
        for (int i = 0; i < 8; i++)
            state[i] = _mm512_loadu_si512(words[i]);
        for (size_t at = 0; at < blocks * SIZE; at += SIZE) {
            for (int i = 0; i < LANES; i++)
                w[i] = _mm512_loadu_si512(from[i] + at);
            transpose(w);
            for (int i = 0; i < 16; i++)
                w[i] = _mm512_shuffle_epi8(w[i], swap);
            compress(state, w);
        }
        for (int i = 0; i < 8; i++)
            _mm512_storeu_si512(words[i], state[i]);

        for (int i = 0; i < LANES; i++) {
            struct lane *lane = &lanes[i];
            if (lane->message < 0)
                continue;
            lane->next += blocks * SIZE;
            lane->blocks -= blocks;
            if (lane->blocks > 0)
                continue;
            if (lane->rest) {
                end_message(lane);
                continue;
            }
            for (int k = 0; k < 8; k++) {
                const uint32_t word = __builtin_bswap32(words[k][i]);
                __builtin_memcpy(digests + 32 * (size_t)lane->message + 4 * k, &word, 4);
                words[k][i] = start[k];
            }
            if (begun < count) {
                lane->message = begun;
                begin_message(lane, base + offsets[begun], (size_t)lengths[begun]);
                begun++;
            } else {
                lane->message = -1;
                busy--;
            }
        }
    }
}
