"""How Sphinx makes the site; `build.py` beside this gathers the pages."""

project = "streamnorm"
author = "The streamnorm developers"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "streamnorm"
html_show_sphinx = False
html_show_copyright = False
pygments_style = "tango"
templates_path = ["templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "versions.html",
        "sidebar/scroll-end.html",
    ]
}
