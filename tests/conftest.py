"""Runs the suite in a scratch directory, which is where ``TestCase.mktemp`` puts its files."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.chdir(tmp_path_factory.mktemp("scratch"))
