"""
Where each message goes. The first part is the version of the whole conversation.
"""

VERSION = "v1"

# edges (Authorization: Bearer <the edge's secret>); each is a POST
REGISTER = f"/{VERSION}/edge/register"
IDENTIFY = f"/{VERSION}/edge/identify"
AUTHORIZE = f"/{VERSION}/edge/authorize"
LIVE = f"/{VERSION}/edge/live"
RENEW = f"/{VERSION}/edge/renew"
RELEASE = f"/{VERSION}/edge/release"
ORDERS = f"/{VERSION}/edge/orders"
PROBED = f"/{VERSION}/edge/probed"
EXAMINED = f"/{VERSION}/edge/examined"
WHERE = f"/{VERSION}/edge/where"
CERTIFY = f"/{VERSION}/edge/certify"
DRAINING = f"/{VERSION}/edge/draining"
REPORT = f"/{VERSION}/edge/report"

# the operator (Authorization: Bearer <the operator's key>): GET lists, POST adds, DELETE <path>/<id> takes away
ACCOUNTS = f"/{VERSION}/accounts"
TOKENS = f"/{VERSION}/tokens"
KEYS = f"/{VERSION}/keys"
NAMES = f"/{VERSION}/names"
PORTS = f"/{VERSION}/ports"
# POST .../NAME/drain, .../NAME/undrain: whether it takes new tunnels
EDGES = f"/{VERSION}/edges"
# GET: the edges; POST: where one of them is
EDGE_PLACES = f"/{VERSION}/edge-places"
# POST says what a token does; GET lists tokens
TOKEN_RULES = f"/{VERSION}/token-rules"
TUNNELS = f"/{VERSION}/tunnels"
# GET: what should stand in the zone; GET .../check: where the servers differ; POST .../mend: and put it right
ZONE = f"/{VERSION}/zone"
ZONE_CHECK = f"/{VERSION}/zone/check"
ZONE_MEND = f"/{VERSION}/zone/mend"
# GET: is all well? GET .../TUNNEL-or-name: is that tunnel, from end to end?
DOCTOR = f"/{VERSION}/doctor"
# GET: the public key that zone gates check grants with
GRANT_KEY = f"/{VERSION}/grant-key"

# zone gates (Authorization: Bearer <the gate's read_key>); GET
GEO = f"/{VERSION}/geo"

# anybody on the core's network; GET
HEALTHZ = "/healthz"
READYZ = "/readyz"
