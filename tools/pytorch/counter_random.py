"""The counter-based draws of include/descent/random.h in numpy: the same bits for the same key."""

import numpy as np

INITIALISE, SHUFFLE, DROPOUT, AUGMENT, DEMO = 1, 2, 3, 4, 5
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def random_bits(positions, seed, purpose, epoch=0, item=0):
    """Philox 4×32-10: positions (n) → words (n, 4) as uint32."""
    positions = np.asarray(positions, dtype=np.uint64)
    counter = [positions & LOW, positions >> HALF, np.full_like(positions, epoch),
               np.full_like(positions, (item * 16 + purpose) & 0xFFFFFFFF)]
    key0, key1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * counter[0]
        product1 = np.uint64(0xCD9E8D57) * counter[2]
        counter = [(product1 >> HALF) ^ counter[1] ^ np.uint64(key0), product1 & LOW,
                   (product0 >> HALF) ^ counter[3] ^ np.uint64(key1), product0 & LOW]
        key0 = (key0 + 0x9E3779B9) & 0xFFFFFFFF
        key1 = (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(counter, axis=-1).astype(np.uint32)


def uniforms(count, seed, purpose, epoch=0, item=0):
    """`count` draws in [0, 1): draw i is word i mod 4 of position i / 4. Exact in float and double."""
    words = random_bits(np.arange((count + 3) // 4), seed, purpose, epoch, item).reshape(-1)[:count]
    return (words >> np.uint32(8)).astype(np.float64) / 16777216.0


def self_check():
    """Known answers of Philox 4×32-10 (Random123's test vectors)."""
    zero = random_bits([0], seed=0, purpose=0)[0]
    assert [f"{w:08x}" for w in zero] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"], zero
    ones = random_bits([2**64 - 1], seed=2**64 - 1, purpose=15, epoch=0xFFFFFFFF, item=0x0FFFFFFF)[0]
    assert [f"{w:08x}" for w in ones] == ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"], ones
