"""The ``sandbox`` command: sessions, commands, files and previews from a terminal, and a doctor for the machine."""
