"""PostgreSQL, through txpostgres."""
