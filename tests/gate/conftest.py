from tests.support.postgres import database, postgres
from tests.support.powerdns import nearest, nearest_of_session, powerdns, powerdns_of_session

__all__ = ["database", "nearest", "nearest_of_session", "postgres", "powerdns", "powerdns_of_session"]
