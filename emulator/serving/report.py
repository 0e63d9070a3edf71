"""What serving has achieved since the world began, and what it cost."""

import math
from dataclasses import dataclass

from fleet.errors import ConfigurationError

_J_PER_KWH = 3.6e6
_S_PER_H = 3_600.0
_MILLION = 1e6
PERCENTS = (50.0, 90.0, 99.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings:
    """What energy and chips cost."""

    usd_per_kwh: float = 0.08
    """Estimate: close to what industry pays for a kWh in the United States."""
    usd_per_chip_hour: float | None = None
    """Of every chip, without energy. None: what each generation's own costs."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0.0):
                raise ConfigurationError(f"price {name} = {price}: expected 0 or more US dollars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Energy and time of chips since the world began."""

    chip_j: float = 0.0
    """Of all chips, idle ones included."""
    plant_j: float = 0.0
    """Of chips, the rest of the sleds, and cooling."""
    chip_s: float = 0.0
    """Chip-seconds held by replicas."""
    usd_per_chip_hour: float = 0.0
    """Mean of what these cost at each generation's own price, without energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """p50, p90 and p99 within 1 %; NaN while there is none."""

    p50_s: float
    p90_s: float
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingReport:
    """All services of the hall together, or one. Counts are since the world began."""

    arrived: int
    completed: int
    refused: int
    retries: int
    """Times that a request was interrupted and queued again."""
    unfinished: int
    """Waiting, running or being handed over."""
    prompt_tokens: int
    """Of completed requests."""
    output_tokens: int
    """Of completed requests."""
    hit_tokens: int
    """Prompt tokens whose cache was there."""
    looked_up_tokens: int
    """Prompt tokens that were computed or found, interrupted attempts included."""
    moved_cache_bytes: float
    """KV cache that moved from prefill to decode replicas."""
    ttft: Quantiles
    tpot: Quantiles
    queue: Quantiles
    latency: Quantiles
    span_s: float
    spent: Spent
    prices: PriceSettings

    @property
    def prefix_hit_ratio(self) -> float:
        return _ratio(self.hit_tokens, self.looked_up_tokens)

    @property
    def output_tokens_per_s(self) -> float:
        return _ratio(self.output_tokens, self.span_s)

    @property
    def tokens_per_chip_j(self) -> float:
        """Output tokens for a joule of the chips."""
        return _ratio(self.output_tokens, self.spent.chip_j)

    @property
    def tokens_per_plant_j(self) -> float:
        """Output tokens for a joule of the whole plant."""
        return _ratio(self.output_tokens, self.spent.plant_j)

    @property
    def usd_per_million_tokens(self) -> float:
        """Of output, with the energy of the whole plant; NaN before the first."""
        return self._usd_per_million_tokens(self.spent.plant_j)

    @property
    def chip_usd_per_million_tokens(self) -> float:
        """The same with the energy of the chips alone."""
        return self._usd_per_million_tokens(self.spent.chip_j)

    def _usd_per_million_tokens(self, energy_j: float) -> float:
        energy = energy_j / _J_PER_KWH * self.prices.usd_per_kwh
        given = self.prices.usd_per_chip_hour
        price = self.spent.usd_per_chip_hour if given is None else given
        chips = self.spent.chip_s / _S_PER_H * price
        return _ratio((energy + chips) * _MILLION, self.output_tokens)


def _ratio(value: float, scale: float) -> float:
    """NaN of nothing."""
    return value / scale if scale else math.nan
