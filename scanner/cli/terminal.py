"""The terminal that everything is shown on."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.inert import visible


class Terminal(Console):
    """
    Where everything is shown. Whatever passes as text is made visible once more, line by line, so
    that nobody who prints has to remember it: escape sequences reach a terminal from us alone.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, emoji=False)  # 2001:db8:100:1 has no picture in it

    def render_str(self, text: str, **keywords: Any) -> Text:
        return super().render_str("\n".join(map(visible, text.split("\n"))), **keywords)

    def on_broken_pipe(self) -> None:
        """A reader that goes away (`| head`) ends the words, never the scan or its exit code."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
