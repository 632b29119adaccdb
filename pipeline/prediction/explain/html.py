"""Render a lesson as one self-contained HTML page."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, StrictUndefined

from pipeline.prediction.explain.lesson import Lesson


def lesson_page(lesson: Lesson) -> str:
    """One HTML page: all text is escaped, and a content security policy forbids scripts and requests."""
    style = _asset("style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2")).render(lesson=lesson, style=style, policy=policy)


def _asset(name: str) -> str:
    return (resources.files("pipeline.prediction.explain") / "page" / name).read_text("utf-8")
