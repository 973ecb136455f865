"""Thousands of tablets that are none: gRPC answers of one small process, for measurements of the daemon."""
