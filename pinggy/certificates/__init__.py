"""
The certificates of the TLS that ends here: which there are, which one a visitor is shown, what TLS is spoken with it.

::

    names       the names that a certificate has, and the host that each covers: pure
    pair        two files become a certificate with what is needed to speak TLS
    context     which TLS that is
    store       the pairs in use: by SNI, looked at again while the daemon runs
"""
