"""A run in a few figures."""

from emulator.scenario.run import ScenarioRun


def summary(run: ScenarioRun) -> dict[str, str]:
    """What a person asks first."""
    history = run.history
    minutes = history.series("t_s")[-1:].sum() / 60.0
    return {
        "scenario": run.scenario.name,
        "seed": str(run.seed),
        "chips": f"{run.world.fleet_map.chips:,}",
        "emulated time": f"{minutes:,.1f} min",
        "chip energy": f"{history.energy_j / 3.6e6:,.1f} kWh",
        "hottest junction": f"{history.hottest_c:.1f} °C",
        "chip-seconds above throttling": f"{history.throttled_chip_s:,.0f}",
        "faults": str(len(history.fault_spans())),
    }
