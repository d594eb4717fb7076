"""Read-only store on a platform's database, for owners of sessions."""
