"""What setuptools cannot read from pyproject.toml: a plugin package that must not have an ``__init__.py``."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["sandbox", "sandbox.*"]), "twisted.plugins"])
