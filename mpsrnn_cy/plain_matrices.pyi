"""Offers C functions alone, to other modules of the package."""

__all__: list[str]
