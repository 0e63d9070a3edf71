"""Case P2: messages to bytes and back."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from fleet.codec import decode_message, encode_message
from fleet.frame import Frame, sled_schema
from isotherm.bench.report import Case

TICKS: Final = 10
RELAYED_SLEDS: Final = 36
_ROUNDS: Final = 15


def p2(quick: bool, seed: int) -> Case:
    """Encode and decode by CPU time of this process; median of rounds."""
    rng = np.random.default_rng(seed)
    repeats = 100 if quick else 400
    relayed = frames(RELAYED_SLEDS, rng)
    both_s, encode_s, decode_s, message_bytes = timed(relayed, repeats)
    alone_s, *_ = timed(relayed[:1], repeats)
    samples = sum(frame.values.size + frame.counters.size for frame in relayed)
    return Case(
        id="P2",
        title=f"codec, {TICKS} ticks of {RELAYED_SLEDS} sleds a message",
        metrics={
            "samples_per_s_per_core": samples / both_s,
            "encode_samples_per_s": samples / encode_s,
            "decode_samples_per_s": samples / decode_s,
            "bytes_per_sample": message_bytes / samples,
            "lone_agent_samples_per_s": samples / RELAYED_SLEDS / alone_s,
        },
        target={"samples_per_s_per_core": (">=", 300e6)},
    )


def frames(sleds: int, rng: np.random.Generator) -> list[Frame]:
    schema = sled_schema(4)
    return [
        Frame(
            agent=f"h1/us01/r1/s{sled:02d}",
            epoch=3,
            seq=77,
            schema_id=schema.id,
            t0_unix_ns=1_760_000_000_000_000_000,
            dt_ns=1_000_000_000,
            values=rng.random((TICKS, len(schema.columns)), dtype=np.float32),
            counters=rng.integers(0, 1000, (TICKS, len(schema.counters)), dtype=np.uint64),
        )
        for sled in range(sleds)
    ]


def timed(sent: Sequence[Frame], repeats: int) -> tuple[float, float, float, int]:
    """CPU seconds a message of both ways, of encoding, of decoding; and the message's bytes."""
    message = encode_message("h1/loop01", sent)
    rounds = [
        (
            _cpu_s(lambda: encode_message("h1/loop01", sent), repeats),
            _cpu_s(lambda: decode_message(message), repeats),
        )
        for _ in range(_ROUNDS)
    ]
    encode_s, decode_s = (float(np.median(part)) for part in zip(*rounds, strict=True))
    return encode_s + decode_s, encode_s, decode_s, len(message)


def _cpu_s(work: Callable[[], object], repeats: int) -> float:
    began_s = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - began_s) / repeats
