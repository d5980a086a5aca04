"""
The h2 library's connection, where it remembers more than anybody needs or copies more than it must.
"""

from __future__ import annotations

from typing import Any

from h2.connection import ConnectionInputs, H2Connection
from h2.exceptions import NoSuchStreamError, StreamIDTooLowError, TooManyStreamsError
from h2.stream import StreamInputs
from hyperframe.frame import DataFrame

# What is raised where the other side has taken a stream back, until that is said: the library may have forgotten the
# stream, and take its number for that of a new one.
TAKEN_BACK = (NoSuchStreamError, StreamIDTooLowError, TooManyStreamsError)


class Connection(H2Connection):
    """Of the streams that are over it remembers how the last ones ended: of 65,536 as it comes, in 8 MB."""

    MAX_CLOSED_STREAMS = 1000

    def send_data(
        self, stream_id: int, data: bytes | memoryview, end_stream: bool = False, pad_length: Any = None
    ) -> None:
        """
        The same in half the time, for *data* that fits the windows and a frame: `Outlet` has looked. Padding is none.
        """
        size = len(data)
        self.state_machine.process_input(ConnectionInputs.SEND_DATA)
        stream = self._get_stream_by_id(stream_id)
        stream.state_machine.process_input(StreamInputs.SEND_DATA)
        if end_stream:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        self._data_to_send += size.to_bytes(3) + bytes((DataFrame.type, end_stream)) + stream_id.to_bytes(4)
        self._data_to_send += data
