from tests.support.amazon import amazon, amazon_of_session
from tests.support.powerdns import powerdns, powerdns_of_session

__all__ = ["amazon", "amazon_of_session", "powerdns", "powerdns_of_session"]
