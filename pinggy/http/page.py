"""
An answer of the edge as people read it in a browser: one small page, light or dark as they like it.

It loads nothing, runs nothing and leads nowhere; its Content-Security-Policy says so too.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from string import Template

from pinggy.http.answer import Answer, Stop

_STATIONS = {Stop.VISITOR: "You", Stop.EDGE: "Edge", Stop.TUNNEL: "Tunnel", Stop.LOCAL_SERVER: "Local server"}

_STYLE = """\
:root{color-scheme:light dark;--paper:#fff;--ground:#f3f4f7;--ink:#1a1d23;--soft:#59616e;--line:#d9dde4;
--good:#1a7f4b;--bad:#c2361f}
@media(prefers-color-scheme:dark){:root{--paper:#1c1f26;--ground:#121418;--ink:#eceef1;--soft:#a2abb8;
--line:#3a404b;--good:#4cc38a;--bad:#ff8a70}}
*,:before,:after{box-sizing:border-box;margin:0}
body{display:flex;min-height:100vh;padding:1rem;background:var(--ground);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{width:100%;max-width:38rem;margin:auto;padding:clamp(1.5rem,6vw,3rem);background:var(--paper);
border:1px solid var(--line);border-radius:1rem}
h1{margin:.35rem 0 .75rem;font-size:clamp(1.5rem,6vw,2.1rem);line-height:1.2;letter-spacing:-.015em;text-wrap:balance}
h1+p{font-size:1.1rem;text-wrap:pretty}
h2{font-size:1rem}
.status{color:var(--bad);font-weight:600}
ol{display:flex;margin:2.25rem 0;padding:0;list-style:none;font-size:.85rem;line-height:1.3;text-align:center}
li{flex:1;position:relative;padding-top:2rem;color:var(--soft)}
li:before{content:"";position:absolute;z-index:1;top:0;left:50%;width:1.5rem;height:1.5rem;margin-left:-.75rem;
border:2px solid var(--line);border-radius:50%;background:var(--paper);color:var(--paper);
font:700 .8rem/1.25rem sans-serif}
li+li:after{content:"";position:absolute;top:calc(.75rem - 1px);left:-50%;width:100%;border-top:2px dashed var(--line)}
.past+li:after{border-top:2px solid var(--good)}
.past:before{content:"\\2713";border-color:var(--good);background:var(--good)}
.stop{color:var(--bad);font-weight:600}
.stop:before{content:"\\d7";border-color:var(--bad);background:var(--bad);font-size:1rem}
b{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
section{padding:1rem 1.25rem;border-radius:.6rem;background:var(--ground)}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
section code{padding:.1em .35em;border:1px solid var(--line);border-radius:.3em;background:var(--paper)}
footer{margin-top:1.25rem;color:var(--soft);font-size:.85rem}
"""

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$status $title</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<main>
<p class="status">$status $phrase</p>
<h1>$title</h1>
<p>$happened</p>
<ol role="list" aria-label="How far the request came">$way</ol>
<section>
<h2>Is it yours?</h2>
<p>$hint</p>
</section>
<footer><code>$code</code></footer>
</main>
</body>
</html>
""")

# The one style is known by its digest; the empty icon keeps browsers from asking for /favicon.ico. A form or a frame
# of somebody else's has no place here either.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)

_TYPED = re.compile("`([^`]*)`")


def page(answer: Answer) -> bytes:
    """The page, in ASCII."""
    return _PAGE.substitute(
        style=_STYLE,
        status=answer.status,
        phrase=_escaped(answer.phrase),
        title=_escaped(answer.title),
        happened=_escaped(answer.happened),
        hint=_escaped(answer.hint),
        way="".join(_station(each, name, answer.stop) for each, name in _STATIONS.items()),
        code=_escaped(answer.code),
    ).encode("ascii", "xmlcharrefreplace")


def _escaped(text: str) -> str:
    return _TYPED.sub(r"<code>\1</code>", html.escape(text))


def _station(station: Stop, name: str, stop: Stop) -> str:
    """One of the places on the way; what the marks say to the eye is in words for those who listen."""
    if station < stop:
        return f'<li class="past">{name}<b>: passed</b></li>'
    if station == stop:
        return f'<li class="stop">{name}<b>: stopped here</b></li>'
    return f"<li>{name}<b>: not reached</b></li>"
