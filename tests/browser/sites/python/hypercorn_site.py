"""A form of Quart's behind hypercorn's ProxyFixMiddleware, which reads ``Forwarded``: of one proxy, and of two."""

from hypercorn.middleware import ProxyFixMiddleware
from quart import Quart, redirect, request, url_for

PAGE = """<!doctype html>
<form method="post"><input name="word"><button>Save</button></form>
<p id="address">{address}</p><p id="client">{client}</p>"""

app = Quart(__name__)


@app.route("/", methods=["GET", "POST"])
async def page():
    address = request.host_url.rstrip("/")
    if request.method == "POST":
        if request.headers["Origin"] != address:
            return f"{request.headers['Origin']} is not {address}", 403
        answer = redirect(url_for("saved", _external=True))
        answer.set_cookie("word", (await request.form)["word"], secure=request.is_secure)
        return answer
    return PAGE.format(address=address, client=request.remote_addr)


@app.route("/saved")
async def saved():
    return f"<!doctype html><p id=word>{request.cookies.get('word', '')}</p>"


behind_one = ProxyFixMiddleware(app, mode="modern", trusted_hops=1)
behind_two = ProxyFixMiddleware(app, mode="modern", trusted_hops=2)
