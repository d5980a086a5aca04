"""
Where addresses are on the earth: the file that PowerDNS's GeoIP backend reads.

grid
    pure: many networks with exact places become few with coarse ones.
file
    databases and places in, one file in MaxMind's form out; and whether a file is one.
compose
    the same as a program, for a daemon whose reactor must not wait for it.
"""
