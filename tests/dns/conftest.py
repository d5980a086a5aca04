from tests.support.powerdns import powerdns, powerdns_of_session

__all__ = ["powerdns", "powerdns_of_session"]
