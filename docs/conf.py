"""How `tox -e docs` builds the pages. Nothing is fetched: theme, fonts and scripts come with the packages."""

import sys
from pathlib import Path

from sandbox import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "sandbox"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "api_reference",
    "settings_reference",
    "command_reference",
    "error_reference",
    "sdk_reference",
]
exclude_patterns = ["_build", "extensions"]

# The pages are read on Git hosts, too: links are made for both, to headings as these hosts name them.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True  # as they are written: the value of os.environ is nobody's business
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
# What stands in annotations and has its documentation elsewhere, which a build without a network cannot link to.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|typing|ssl|datetime|twisted|http|enum|json)\..*"),
    ("py:.*", r"sandbox\.client\.(protocol\.Call|calls|blocking\.T|asynchronous\.T)"),
    ("py:.*", r"(str|int|float|bool|bytes|None|Any|T|dict|list|tuple|type|Exception|ValueError|Enum)"),
    ("py:.*", r"(Callable|Mapping|Sequence|Iterator|AsyncIterator|Deferred|IAgent|SSLContext|TypeVar)"),
]

html_theme = "furo"
html_title = f"sandbox {version}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
