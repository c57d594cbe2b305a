"""The journal of what was sent, and the manifests of stories."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.anchoring import PROCEED, ROLLBACK, Journal, digest_of
from cli.errors import UsageFault
from cli.stories import default_folder, load_network_parties, load_stories, load_story


def test_journal_survives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    Journal.at(path).note("aa", "job1", "a.json")
    Journal.at(path).note("bb", "job2", "b.json")
    assert Journal.at(path).jobs == {"aa": "job1", "bb": "job2"}
    assert path.stat().st_mode & 0o077 == 0


@given(st.binary(max_size=200))
def test_a_damaged_journal_only_costs_work(damage: bytes) -> None:
    """A half-written last line that stops every later run."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        Journal.at(path).note("aa", "job1", "a.json")
        path.write_bytes(path.read_bytes() + damage)
        assert Journal.at(path).jobs.get("aa") in ("job1", None)


def test_the_same_document_for_another_party_is_another_capture() -> None:
    """A farmer's harvest skipped because the neighbour sent the same bytes."""
    body = b"{}"
    digests = {
        digest_of(body, "", ROLLBACK),
        digest_of(body, "urn:tracemark:party:a", ROLLBACK),
        digest_of(body, "", PROCEED),
        digest_of(b"{ }", "", ROLLBACK),
    }
    assert len(digests) == 4


def test_journals_of_two_gateways_are_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEMARK_STATE", str(tmp_path))
    Journal.of("http://one.example").note("aa", "job1", "a.json")
    assert Journal.of("http://two.example").jobs == {}
    assert Journal.of("http://one.example").jobs == {"aa": "job1"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("by: roaster}", "by: nobody-here}", "nobody-here"),
        ("file: 10-roaster.jsonld", "file: 10-missing.jsonld", "10-missing.jsonld"),
        ("mode", "mode", ""),
        ("title:", "titel:", "title"),
        ("country: ET", "country: Ethiopia", "country"),
        ("name: coffee", "name: [", "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    """A typing slip found only when half of the story is on the ledger."""
    folder = tmp_path / "coffee"
    shutil.copytree(default_folder() / "coffee", folder)
    manifest = folder / "story.yaml"
    manifest.write_text(manifest.read_text().replace(old, new, 1))
    if not told:
        assert load_story(folder).name == "coffee"
        return
    with pytest.raises(UsageFault, match=r"story\.yaml") as caught:
        load_story(folder)
    assert told in caught.value.message


def test_a_folder_without_stories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="holds no stories"):
        load_stories(tmp_path)
    with pytest.raises(UsageFault, match=r"network\.yaml"):
        load_network_parties(tmp_path)
