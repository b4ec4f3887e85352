"""placeholder"""


def report() -> None:
    """x"""
