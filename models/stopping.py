"""Ctrl-C and SIGTERM during training: the step that is going on is finished and kept; the second one counts at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from models.progress import say


class Stopping:
    """While it is entered, `asked` says whether somebody wants the run to end."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():  # elsewhere nobody may listen to signals
            self._before = {each: signal.signal(each, self._note) for each in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._let_go()
        say("\nstopping after this step; once more to stop at once")

    def _let_go(self) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._before = {}
