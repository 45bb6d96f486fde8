"""How the embedded stack starts Prefect's server: as it is, but on an SQLite that does not lock itself up."""
