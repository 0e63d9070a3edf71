"""The process beside a sled or a CDU: reads devices, publishes frames, carries out commands, and
protects the hardware when nobody answers. Imports `fleet` and libraries only.
"""
