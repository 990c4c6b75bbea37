"""The servers of the benchmark, one module each, named as the driver names the carrier; common.py says what a module offers."""
import importlib


def load(name):
    return importlib.import_module(f"{__name__}.{name}")
