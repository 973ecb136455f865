"""How values of templates are escaped, by the place that they stand in."""

from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.server.orc_web.go_templates import TemplateError, Values, render

HOSTILE = """<b a="1">'&+`\\/\n\u2028</script>"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("<p>{{.v}}</p>", "<p>&lt;b a=&#34;1&#34;&gt;&#39;&amp;&#43;`\\/\n\u2028&lt;/script&gt;</p>"),
        ('<p title="{{.v}}">', '<p title="&lt;b a=&#34;1&#34;&gt;&#39;&amp;&#43;`\\/\n\u2028&lt;/script&gt;">'),
        (
            '<script>var a = "{{.v}}";</script>',
            '<script>var a = "\\u003cb a\\u003d\\u00221\\u0022\\u003e\\u0027\\u0026\\u002b\\u0060\\\\\\/\\n\\u2028'
            '\\u003c\\/script\\u003e";</script>',
        ),
        ('<a href="{{.v}}">', '<a href="%3Cb%20a=%221%22%3E%27&amp;&#43;%60%5C/%0A%E2%80%A8%3C/script%3E">'),
        ("<script>a()</script><p>{{.short}}</p>", "<p>+</p>".replace("+", "&#43;").join(("<script>a()</script>", ""))),
        ('<script src="{{.prefix}}/js/x.js"></script>', '<script src="/orc/js/x.js"></script>'),
        ('<a href="{{.scheme}}">', '<a href="#ZgotmplZ">'),
        ("{{ .yes }} {{.no}} {{.number}} {{.nothing}}", "true false 7 "),
        ("a<!-- {{if .x}} -->b", "ab"),
    ],
)
def test_a_value_is_escaped_for_its_place(source: str, told: str) -> None:
    """Text, attributes, addresses and scripts have each their own escaping."""
    values: Values = {
        "v": HOSTILE,
        "short": "+",
        "prefix": "/orc",
        "scheme": "javascript:alert(1)",
        "yes": True,
        "no": False,
        "number": 7,
    }
    assert render("x.tmpl", source, values) == told


def test_the_page_stands_in_the_place_of_yield() -> None:
    """What is rendered already is put in as it is."""
    assert render("layout.tmpl", "<main>{{yield}}</main>", {}, inner="<p>&amp;</p>") == "<main><p>&amp;</p></main>"


@pytest.mark.parametrize(
    "construct", ["{{if .x}}", "{{range .xs}}", '{{template "x"}}', "{{.a.b}}", "{{}}", "{{yield}}"]
)
def test_another_construct_is_an_error_that_names_it(construct: str) -> None:
    """The error has the file, the line and the construct; `{{yield}}` has no place in a page of its own."""
    with pytest.raises(TemplateError) as raised:
        render("cluster.tmpl", f"a\nb\n<p>{construct}</p>", {})
    assert str(raised.value).startswith(f"cluster.tmpl, line 3: {construct}")


class _Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(value=st.text(alphabet=st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=40))
def test_no_value_breaks_out_of_its_place(value: str) -> None:
    """Whatever a value is, a browser finds the elements of the template, and the value as text."""
    source = '<p>{{.v}}</p><a title="{{.v}}" href="/x/{{.v}}">y</a><script>f("{{.v}}")</script>'
    seen = _Seen(render("x.tmpl", source, {"v": value}))
    assert [tag for tag, _ in seen.found] == ["p", "a", "script"]
    title, href = (told for _, told in seen.found[1][1])
    assert title == value
    assert unquote(href or "") == unquote(f"/x/{value}")
    assert "<" not in seen.text.rpartition('f("')[2]
    assert seen.text.startswith(value)
