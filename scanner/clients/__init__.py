"""
One adapter per vendor library, read verbs only; nothing else imports those libraries.

An adapter is handed a relay's (host, port), a socket or a session, never a device's address.
Foreign exceptions are translated here.
"""
