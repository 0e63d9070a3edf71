"""Physics and control laws of a liquid cooling loop: pure functions and frozen settings.

Parts (coolant, cold plate, manifold, heat exchanger, pump, valve, facility) are shared.
`plant` is the truth that only the emulator runs; `model` is the controller's own view; `control`
holds the laws. `model` and `control` never import `plant`.
"""
