"""
What the h2 library should not see, or sees too late: a reader of frames in place of its own.
"""

from __future__ import annotations

from h2.exceptions import FrameTooLargeError, ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, SettingsFrame

_SETTINGS = 4
_LENGTH, _TYPE = 3, 3
_KNOWN = frozenset(SettingCodes)
# Bytes of the table by which heads are packed: what we remember of them for the other side (RFC 7541 4.2).
LARGEST_TABLE = 4096


class PromptFrames(FrameBuffer):
    """
    Refuses a frame that is too long when its head has come: the library would wait for all of it, 16 MiB at the most.

    A GOAWAY stands in *goaway*, the last one, and is not shown to the library, which would not let the streams end that
    there are (RFC 9113 6.8). Nor are settings that nobody knows, which it would keep, nor a table larger than ours,
    which it would fill; nor the priority in a request, which it would make an event of.
    """

    def __init__(self, *, server: bool) -> None:
        super().__init__(server=server)
        self.goaway: GoAwayFrame | None = None

    def __next__(self) -> Frame:
        frame = self._next()
        while isinstance(frame, GoAwayFrame):
            self.goaway = frame
            frame = self._next()
        if isinstance(frame, HeadersFrame):
            if "PRIORITY" in frame.flags and frame.depends_on == frame.stream_id:
                raise ProtocolError("A stream depends on itself.")
            frame.flags.discard("PRIORITY")
        elif isinstance(frame, SettingsFrame):
            _restrict(frame.settings)
        return frame

    def _next(self) -> Frame:
        data = self._data
        if len(data) >= _LENGTH and int.from_bytes(data[:_LENGTH]) > self.max_frame_size:
            raise FrameTooLargeError("A frame is longer than was allowed.")
        return super().__next__()


class ServerFrames(PromptFrames):
    """
    Those of a server. They begin with SETTINGS (RFC 9113 3.4), by which one that *has_begun* is told from whatever
    speaks something else.
    """

    def __init__(self) -> None:
        super().__init__(server=False)
        self.has_begun = False

    def __next__(self) -> Frame:
        if not self.has_begun and len(self._data) > _TYPE and self._data[_TYPE] != _SETTINGS:
            raise ProtocolError("The server does not begin with SETTINGS.")
        frame = super().__next__()
        self.has_begun = self.has_begun or isinstance(frame, SettingsFrame)
        return frame


def _restrict(settings: dict[int, int]) -> None:
    for code in settings.keys() - _KNOWN:
        del settings[code]
    table = settings.get(SettingCodes.HEADER_TABLE_SIZE)
    if table is not None and table > LARGEST_TABLE:
        settings[SettingCodes.HEADER_TABLE_SIZE] = LARGEST_TABLE
