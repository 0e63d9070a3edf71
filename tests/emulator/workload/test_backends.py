"""PyTorch gives what numpy gives; where it is not installed, asking for it ends in one line."""

import sys

import numpy as np
import pytest

from emulator.models import MODELS
from emulator.workload import Orders, ProductOptions, WorkloadEngine, product_shape
from emulator.workload.backend import BackendName, DeviceName
from emulator.workload.number_type import NumberType
from fleet.errors import ConfigurationError

SHAPE = product_shape(MODELS["llama-3-8b"], 4)
TORCH = ProductOptions(backend=BackendName.TORCH)


def need_torch() -> None:
    """An optional extra, so that no run has to have it."""
    pytest.importorskip("torch", reason="PyTorch is missing: pip install torch (docs/backends.md)")


def engine_of(options: ProductOptions, seed: int) -> WorkloadEngine:
    engine = WorkloadEngine(3, np.random.default_rng(seed), options=options)
    engine.place(dict.fromkeys(range(3), SHAPE))
    return engine


def orders(flips: float = 0.0) -> Orders:
    return Orders(
        prefill_flop=np.array([6e6, 0.0, 3e4]),
        decode_flop=np.array([3e6, 4e6, 0.0]),
        decode_rows=np.array([9, 7, 0]),
        expected_flips=np.full(3, flips),
    )


@pytest.mark.parametrize("precision", list(NumberType))
def test_torch_executes_what_numpy_executes(precision: NumberType) -> None:
    need_torch()
    ran = {}
    for backend in BackendName:
        engine = engine_of(ProductOptions(backend=backend, precision=precision), seed=4)
        flop = engine.execute(orders()).flop
        (program,) = engine._programs.values()
        ran[backend] = (flop, engine._backend.host(program.rows.values))

    numpy_run, torch_run = ran[BackendName.NUMPY], ran[BackendName.TORCH]
    assert torch_run[0].tolist() == numpy_run[0].tolist()
    # A sum that falls on the other side of a rounding border moves an element by one unit.
    tolerance = 1e-4 + 4.0 * precision.roundoff * np.abs(numpy_run[1]).max()
    np.testing.assert_allclose(torch_run[1], numpy_run[1], rtol=0.0, atol=tolerance)


def test_torch_finds_the_flips_that_numpy_finds() -> None:
    need_torch()
    found = {}
    for backend in BackendName:
        engine = engine_of(ProductOptions(backend=backend), seed=6)
        found[backend] = [engine.execute(orders(flips=0.7)).corrupted for _ in range(15)]

    assert found[BackendName.TORCH] == found[BackendName.NUMPY]
    assert sum(map(len, found[BackendName.NUMPY])) > 5


def test_torch_threads_are_given_back() -> None:
    need_torch()
    engine = engine_of(TORCH, seed=0)
    before = engine._backend._torch.get_num_threads()  # type: ignore[attr-defined]

    with engine._backend.threads(1):
        assert engine._backend._torch.get_num_threads() == 1  # type: ignore[attr-defined]

    assert engine._backend._torch.get_num_threads() == before  # type: ignore[attr-defined]


def test_torch_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(ConfigurationError, match="backend = torch: PyTorch can not be imported"):
        TORCH.validate()


def test_a_device_that_torch_does_not_see_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(ConfigurationError, match="device = cuda: PyTorch sees no CUDA device"):
        ProductOptions(backend=BackendName.TORCH, device=DeviceName.CUDA).validate()


def test_numpy_knows_the_cpu_only() -> None:
    with pytest.raises(ConfigurationError, match="device = cuda: numpy runs on the cpu only"):
        ProductOptions(device=DeviceName.CUDA).validate()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (ProductOptions(threads=0), "threads = 0"),
        (ProductOptions(real_chips_limit=0), "real_chips_limit = 0"),
        (ProductOptions(precision="fp4"), "precision = fp4: expected fp32, bf16, fp8"),  # type: ignore[arg-type]
    ],
)
def test_an_option_that_can_not_be_used_is_named(options: ProductOptions, field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"emulator option {field}"):
        options.validate()
