"""Identity Fabric: one place that knows which identifiers belong to one person, and what that person allows."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("identity-fabric")
except PackageNotFoundError:
    __version__ = "0.1.0"
