"""Suite `cooling`: controllers on the emulator's plant, scenario by scenario, side by side."""
