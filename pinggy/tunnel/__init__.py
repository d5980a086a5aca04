"""
What a tunnel is, as values and decisions: nothing here waits, reads a clock or meets a transport.

names
    which labels may become public names.
token
    the shape of a token.
request
    the grammar of ``USER`` and ``-R`` (ssh-interface).
policy
    what a client asks to do with its visitors; `networks` finds an address in a whitelist.
arguments
    the grammar of the words that ask for it; `argument_values` is what may stand behind them.
grant
    what the core allowed.
addresses
    the URLs that a visitor types.
life
    from the first forwarding to the end, as a state machine.
refusals
    each "no", as a class with a code, an HTTP status and a sentence; `endings` are those by which a tunnel is over, and
    `refusal_codes` has them all by their codes.
"""
