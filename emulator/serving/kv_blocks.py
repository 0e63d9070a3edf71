"""The KV cache of one replica in blocks: what requests hold, and prefixes kept for the next."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

PREFIX_TOKENS: Final = 512
"""Tokens of a prefix block, as the Mooncake trace cuts prompts."""


class KvBlocks:
    """Blocks are reserved for a request's whole length, so that none is ever put out.

    Prefix blocks that requests in flight share are held once. Those of ended requests stay, and
    give way to new requests, the longest unused first.
    """

    __slots__ = ("_held", "_idle", "_per_prefix", "_private", "_size", "_tokens")

    def __init__(self, tokens: int, *, block_tokens: int) -> None:
        self._tokens = block_tokens
        self._size = max(tokens // block_tokens, 0)
        self._per_prefix = max(PREFIX_TOKENS // block_tokens, 1)
        self.clear()

    def clear(self) -> None:
        """Forget all, as a reload does."""
        self._private = 0
        self._held: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()

    @property
    def blocks(self) -> int:
        return self._size

    @property
    def reserved(self) -> int:
        """Blocks that requests in flight hold."""
        return self._private + len(self._held) * self._per_prefix

    @property
    def kept(self) -> int:
        """Blocks of prefixes that no request in flight holds."""
        return len(self._idle) * self._per_prefix

    def blocks_of(self, tokens: int) -> int:
        return -(-tokens // self._tokens)

    def hits(self, prefix: Sequence[int]) -> int:
        """Leading prefix blocks that are here."""
        for at, block in enumerate(prefix):
            if block not in self._held and block not in self._idle:
                return at
        return len(prefix)

    def reserve(self, blocks: int, prefix: Sequence[int]) -> bool:
        """Take so many blocks, those of the prefix included; False when there is no room now."""
        if not prefix:
            return self._reserve_private(blocks)
        resting = sum(1 for block in prefix if block in self._idle)
        fresh = len(prefix) - resting - sum(1 for block in prefix if block in self._held)
        private = blocks - len(prefix) * self._per_prefix
        wanted = private + (fresh + resting) * self._per_prefix
        if self.reserved + wanted > self._size:
            return False
        for block in prefix:
            self._idle.pop(block, None)
            self._held[block] = self._held.get(block, 0) + 1
        self._private += private
        self._give_way()
        return True

    def release(self, blocks: int, prefix: Sequence[int]) -> None:
        """Give back what was reserved so; the prefix stays while there is room."""
        self._private -= blocks - len(prefix) * self._per_prefix
        # The last block of a prefix is of no use without those before it, so it goes first.
        for block in reversed(prefix):
            self._held[block] -= 1
            if not self._held[block]:
                del self._held[block]
                self._idle[block] = None

    def _reserve_private(self, blocks: int) -> bool:
        if self._private + blocks + len(self._held) * self._per_prefix > self._size:
            return False
        self._private += blocks
        if self._idle:
            self._give_way()
        return True

    def _give_way(self) -> None:
        while self._idle and self.reserved + self.kept > self._size:
            self._idle.popitem(last=False)
