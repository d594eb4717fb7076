"""A form of Flask-WTF's behind werkzeug's ProxyFix, which believes one proxy in all that it says."""

from flask import Flask, redirect, render_template_string, request, url_for
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

PAGE = """<!doctype html>
<form method="post">
<input type="hidden" name="csrf_token" value="{{ csrf_token() }}"><input name="word"><button>Save</button>
</form>
<p id="address">{{ request.host_url.rstrip("/") }}</p>"""

app = Flask(__name__)
app.secret_key = "of a test"
CSRFProtect(app)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1)


@app.route("/", methods=["GET", "POST"])
def page():
    if request.method == "POST":
        answer = redirect(url_for("saved", _external=True))
        answer.set_cookie("word", request.form["word"], secure=request.is_secure, path=request.script_root or "/")
        return answer
    return render_template_string(PAGE)


@app.route("/saved")
def saved():
    return f"<!doctype html><p id=word>{request.cookies.get('word', '')}</p>"
