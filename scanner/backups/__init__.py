"""
What the owner's backups hold: read from a folder or a git repository, without a packet to a device.

Everything read here is data of others: names, times and manifests are bounded and checked, and
nothing outside the source is ever opened.
"""
