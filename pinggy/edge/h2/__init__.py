"""
What both sides of HTTP/2 need beside the h2 library: visitors', and that of local servers.

library
    its connection.
frames
    what the library should not see, or sees too late.
outlet
    what waits to be sent, stream by stream, in turn.
floods
    how much of what costs us and carries nothing the other side may send.
"""
