"""
The edge: clients come in by ``ssh/``, visitors by ``visitor/``, and `relay` joins one visitor to one stream.

stream
    what a way in offers for one visitor: a small Protocol; an ssh channel is one kind of it.
client
    what a tunnel needs of its client, whatever way it came.
opening
    THE chain: authorize -> publish -> probe -> live, and its undoing.
tunnels
    the live ones, by name and by port; who is present at each, and `throttle`: who has asked or guessed too often.
answers
    what the edge says to visitors itself, each answer named by what happened.
exchange
    the seam between HTTP visitors and local servers; `limited` stands in it where content has no length.
client_tunnel
    one client's, from the login to the end: `watchers` are told of it, `linger` is how long its records stay.
drain
    an edge that is taken out of service, and how its tunnels leave.
dormant, tickets
    tunnels that are kept for their clients while the core is away, and whom they are kept for.
core_client
    how an edge speaks to the core.
orders
    what the core wants: `pings` and `examination` carry out those that ask something; `reports` says what is held.
"""
