"""
What visitors meet, in one run: HTTP through our edge beside our own raw tunnel and ``sshd -R``, with the same local
server, the same visitors and the same ``ssh`` client. It shares servers, loads and report with `benchmarks.leg`.

ways
    what is compared: how visitors reach one local server.
local_server, grpc_server
    local servers beside nginx, as processes.
requests
    wrk and h2load: many requests.
bodies
    curl: one download, one upload.
handshakes
    visitors who only shake hands, as processes.
steady
    so many requests a second, and how long each takes.
crowd
    open websockets; event streams.
calls
    gRPC.
parts
    what is measured, part by part.
goals
    what is wanted, and what came.

    python -m benchmarks.web [--rounds 3] [--only requests,bodies,...] [--servers sshd,edge,pinggy] [--out FOLDER]
"""
