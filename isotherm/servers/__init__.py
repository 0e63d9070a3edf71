"""Throw-away real servers on loopback, for tests and benchmarks: Apache Kafka, PostgreSQL."""
