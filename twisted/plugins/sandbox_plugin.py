"""Makes ``twistd sandbox`` known to twistd; nothing else lives here."""

from twisted.application.service import ServiceMaker

sandbox = ServiceMaker(
    "sandbox",
    "sandbox.plugin",
    "Runs commands and files in session containers, and previews of what runs there.",
    "sandbox",
)
