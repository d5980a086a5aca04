from tests.support.amazon import amazon, amazon_of_session
from tests.support.postgres import database, postgres

__all__ = ["amazon", "amazon_of_session", "database", "postgres"]
