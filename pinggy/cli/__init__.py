"""
``pinggy``, the operator's command: it speaks to the core over HTTP with the operator's key.

main
    from the words to the exit status.
arguments
    the tree of commands; each noun's file adds its own.
accounts, tokens, keys, names, ports, edges, tunnels
    one noun each: its verbs, what they ask the core, what they show.
access
    where the core is, and the key to it.
calls
    one HTTP exchange with the core.
terminal, tables
    what goes to stdout and what to stderr; rows in columns.
"""
