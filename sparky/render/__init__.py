"""A Digest as JSON (`sparky.digest/1`), as Markdown and as a page of HTML.

The JSON holds all of a digest. Markdown and HTML show what a reader needs, in the same words.
"""

from sparky.render.document import as_json, from_document, to_document
from sparky.render.html import as_html
from sparky.render.markdown import as_markdown

__all__ = ["as_html", "as_json", "as_markdown", "from_document", "to_document"]
