"""Faster imports: the collector runs again afterwards, and a package that was left out can be imported."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys

import pytest

from backends.imports import uncollected, without


def test_the_collector_runs_again_after_the_block_and_after_an_error() -> None:
    @uncollected()
    def inside() -> bool:
        with uncollected():
            pass
        return gc.isenabled()

    assert not inside()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="wrong"), uncollected():
        raise ValueError("wrong")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_package_is_missing_in_the_block_alone() -> None:
    name = "this" if "this" not in sys.modules else "antigravity"
    with without(name):
        assert importlib.util.find_spec(name) is None
        with pytest.raises(ImportError):
            importlib.import_module(name)
    assert importlib.util.find_spec(name) is not None
    assert name not in sys.modules


def test_a_package_that_is_imported_already_stays() -> None:
    with without("gc"):
        assert importlib.import_module("gc") is gc
