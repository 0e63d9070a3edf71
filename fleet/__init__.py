"""The shared vocabulary: what every process of Isotherm says on the wire and in its tables."""
