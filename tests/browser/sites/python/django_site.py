"""A form of Django's: its development server with CSRF protection, and what a deployment says of proxies in SITE.

Run as ``python3 django_site.py runserver --noreload 0.0.0.0:PORT``.
"""

import json
import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse, HttpResponseRedirect
from django.template import engines
from django.urls import path

settings.configure(
    **{
        "DEBUG": True,
        "ROOT_URLCONF": __name__,
        "SECRET_KEY": "of a test",
        "MIDDLEWARE": ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        **json.loads(os.environ["SITE"]),
    }
)

PAGE = """<!doctype html>
<form method="post">{% csrf_token %}<input name="word"><button>Save</button></form>
<p id="address">{{ address }}</p>"""


def page(request):
    if request.method == "POST":
        # By its whole address, as its own links are made.
        answer = HttpResponseRedirect(request.build_absolute_uri("/saved"))
        answer.set_cookie("word", request.POST["word"], secure=request.is_secure())
        return answer
    context = {"address": f"{request.scheme}://{request.get_host()}"}
    return HttpResponse(engines["django"].from_string(PAGE).render(context, request))


def saved(request):
    return HttpResponse(f"<!doctype html><p id=word>{request.COOKIES.get('word', '')}</p>")


urlpatterns = [path("", page), path("saved", saved)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
