"""Rows as a table, and where a stored result comes from: one line of code each, in notebooks and in terminals."""

from dlt.show.stored import Stored, stored
from dlt.show.table import Table, table

__all__ = ["Stored", "Table", "stored", "table"]
