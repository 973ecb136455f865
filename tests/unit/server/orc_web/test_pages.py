"""How orchestrator's pages are served, with small web files of our own."""

from pathlib import Path

import pytest
from msgspec import structs
from starlette.types import ASGIApp

from tests.unit.server.told import NOW, RecordedAsk, ask_app, lost, told_memory
from vtorc.config.settings import Settings
from vtorc.forms.frames import ShardFrame
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.opening import server_rules
from vtorc.server.options import ServerRules, WebFiles
from vtorc.server.orc_web.pages import PAGES
from vtorc.server.ui.assets import asset_path

LAYOUT = """<title>{{.title}}</title><link href="{{.prefix}}/css/x.css">
<script>u="{{.userId}} {{.authorizedForAction}}"</script>{{yield}}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of web files in which each page tells its name and its variables."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "public" / "js").mkdir(parents=True)
    (tmp_path / "public" / "js" / "x.js").write_text("a.MasterKey")
    (tmp_path / "public" / ".secret").write_text("no")
    (tmp_path / "templates" / "layout.tmpl").write_text(LAYOUT)
    for page in PAGES:
        if page.template is not None:
            variables = "|".join(f"{{{{.{name}}}}}" for name in ("clusterName", "searchString", "page", "recoveryUid"))
            told = f"<h1>{page.template}</h1>{variables}"
            (tmp_path / "templates" / f"{page.template}.tmpl").write_text(told)
    return tmp_path


def memory() -> ServerMemory:
    """Return the memory of one healthy shard and one that is broken."""
    told = told_memory()
    tablets = [structs.replace(tablet, mysql_port=4000 + number) for number, tablet in enumerate(lost("b/0").tablets)]
    told.take(ShardFrame(shard=structs.replace(lost("b/0"), tablets=tablets)), NOW)
    return told


def app_of(folder: Path, *, url_prefix: str = "") -> ASGIApp:
    """Return the application with the web files of a folder."""
    rules = ServerRules(web=WebFiles(folder=str(folder), says_master=True), url_prefix=url_prefix)
    return make_app(memory(), RecordedAsk(), listener=Listener.V12, rules=rules)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/web/clusters", "<h1>clusters</h1>||"),
        ("/web/clusters/", "<h1>clusters</h1>||"),
        ("/web/cluster/127.0.0.1:4000", "<h1>cluster</h1>127.0.0.1:4000||"),
        ("/web/search?s=abc%0A", "<h1>search</h1>|abc|"),
        ("/web/search/abc", "<h1>search</h1>|abc|"),
        ("/web/audit/3", "<h1>audit</h1>||3|"),
        ("/web/audit/instance/h/1/2", "<h1>audit</h1>||2|"),
        ("/web/audit-recovery/uid/17", "<h1>audit_recovery</h1>||0|17"),
        ("/web/audit-recovery-steps/17", "<h1>audit_recovery</h1>||0|17"),
        ("/web/seeds", "This page is not part of vtorc"),
    ],
)
async def test_a_page_is_rendered_with_what_its_path_says(folder: Path, path: str, told: str) -> None:
    """The page of a path has its layout, its template, and the variables of the path."""
    answer = await ask_app(app_of(folder), path)
    assert answer.status == 200
    assert told in answer.text
    assert '<script>u=" true"</script>' in answer.text
    assert "script-src 'self' 'unsafe-inline'" in answer.headers["content-security-policy"]


async def test_links_of_aliases_and_servers_lead_to_their_cluster(folder: Path) -> None:
    """An alias or a server in a link is followed to the page with the name of its cluster."""
    app = app_of(folder)
    for path in ("/web/cluster/alias/b:0", "/web/cluster/instance/127.0.0.1/4001"):
        assert (await ask_app(app, path)).headers["location"] == "/web/cluster/127.0.0.1:4000"
    assert (await ask_app(app, "/web/cluster/alias/none:0")).status == 404
    assert (await ask_app(app, "/web/")).headers["location"] == "/web/clusters"


async def test_files_are_served_and_no_others(folder: Path) -> None:
    """Files of `public` are served with a tag; hidden ones, templates and folders are not."""
    app = app_of(folder)
    file = await ask_app(app, "/js/x.js")
    assert (file.status, file.text, bool(file.headers["etag"])) == (200, "a.MasterKey", True)
    for path in ("/.secret", "/templates/layout.tmpl", "/js", "/js/%2e%2e/templates/layout.tmpl", "/js/none.js"):
        assert (await ask_app(app, path)).status in (307, 404), path


@pytest.mark.parametrize("path", ["/assets/ico/favicon.ico", "/web/assets/ico/favicon.ico"])
async def test_the_icon_that_no_web_files_have_is_vtorcs_own(folder: Path, path: str) -> None:
    """The layout of the web files names an icon, which browsers ask for on each page."""
    assert (await ask_app(app_of(folder), path)).headers["location"] == asset_path("icon.svg")


async def test_a_cluster_has_no_pools(folder: Path) -> None:
    """The page of the pools, and that of a cluster with its pools shown, get an object without any."""
    told = (await ask_app(app_of(folder), "/api/cluster-pool-instances/b:0")).json
    assert (told["Code"], told["Details"]) == ("OK", {})


async def test_pages_work_behind_a_prefix(folder: Path) -> None:
    """Behind a prefix the links of the layout have it, and files are found."""
    app = app_of(folder, url_prefix="/orc")
    assert '<link href="/orc/css/x.css">' in (await ask_app(app, "/orc/web/clusters")).text
    assert (await ask_app(app, "/orc/js/x.js")).status == 200


async def test_a_page_that_cannot_be_rendered_says_where(folder: Path) -> None:
    """A construct beyond the web files' names file, line and construct; the other pages go on."""
    (folder / "templates" / "about.tmpl").write_text("a\n{{if .x}}")
    answer = await ask_app(app_of(folder), "/web/about")
    assert answer.status == 500
    assert "about.tmpl, line 2: {{if .x}}" in answer.text
    (folder / "templates" / "faq.tmpl").unlink()
    assert "faq.tmpl" in (await ask_app(app_of(folder), "/web/faq")).text
    assert (await ask_app(app_of(folder), "/web/home")).status == 200


async def test_a_path_that_is_no_name_of_a_file_is_not_found(folder: Path) -> None:
    """A name that is too long for the disk is answered as any other that is not there."""
    assert (await ask_app(app_of(folder), f"/{'x' * 3000}.js")).status == 404


async def test_problems_have_the_names_that_the_pages_know(folder: Path) -> None:
    """With web files that speak of masters, v12's API calls a dead primary a dead master; `/api/v1` does not."""
    app = app_of(folder)
    assert [entry["Analysis"] for entry in (await ask_app(app, "/api/replication-analysis/b:0")).json["Details"]] == [
        "DeadMaster"
    ]
    plain = make_app(memory(), RecordedAsk(), listener=Listener.V12)
    told = (await ask_app(plain, "/api/replication-analysis/b:0")).json["Details"]
    assert [entry["Analysis"] for entry in told] == ["DeadPrimary"]
    assert "DeadMaster" not in (await ask_app(app, "/api/v1/findings")).text


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/web/cluster/alias/b:0", "/ui/?q=b%2F0"),
        ("/web/cluster/instance/h/1", "/ui/?q=h%3A1"),
        ("/web/cluster/h:1", "/ui/?q=h%3A1"),
        ("/web/search/x", "/ui/?q=x"),
        ("/web/audit-recovery/uid/7", "/ui/recoveries"),
        ("/web/status", "/ui/settings"),
        ("/web/faq", "/ui/"),
    ],
)
async def test_without_web_files_its_links_lead_to_vtorcs_own_pages(path: str, location: str) -> None:
    """Links to orchestrator's pages, as they are in chats and bookmarks, lead to the page that answers them."""
    answer = await ask_app(make_app(memory(), RecordedAsk(), listener=Listener.V12), path)
    assert (answer.status, answer.headers["location"]) == (302, location)


def test_the_vocabulary_of_the_web_files_is_found_out(folder: Path) -> None:
    """Web files that read `MasterKey` are of v11; a folder without a layout is no folder of web files."""
    settings = Settings(orc_web_dir=str(folder), web_message="hello")
    web = server_rules(settings).web
    assert web == WebFiles(folder=str(folder), says_master=True, message="hello")
    (folder / "public" / "js" / "x.js").write_text("a.PrimaryKey")
    assert server_rules(settings).web == WebFiles(folder=str(folder), message="hello")
    assert server_rules(Settings(orc_web_dir=str(folder / "none"))).web is None
    assert server_rules(Settings(orc_web_dir="x" * 300)).web is None
