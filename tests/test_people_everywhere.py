"""An erasure, held against every byte of the data folder, whatever a person's number came as and wherever it went."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
import xlsxwriter  # type: ignore[import-untyped]

from audiences.accept import WHOLE
from audiences.keys import PEOPLE, READ, WRITE
from console import signed_in
from support import Client, Service
from test_console_new import uploaded

NUMBER = "442079460958"
SPELLINGS = (NUMBER, "+44 20 7946 0958", "0044 (0)20-7946.0958")
CANARY = "Quokka"
OTHER = "447400123456"

CODECS = ("utf-8", "utf-16-le")

# Of all encodings and ways in which a file of the store could say it.
TRACES = (
    *(text.encode(codec) for text in ("79460958", "7946 0958", "7946.0958", CANARY) for codec in CODECS),
    int(NUMBER).to_bytes(8, "little"),
)  # fmt: skip
LIST = (
    "phone1,name,phone2,note\n"
    + "".join(f"{text},{CANARY} é,,\n" for text in SPELLINGS)
    + f"{OTHER},Bob,{SPELLINGS[1]},\nbad,Cy,,or {SPELLINGS[1]}\nbad,Di,,x,surplus {NUMBER}\n"
)


def workbook() -> bytes:
    """The number as a number and as a text."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate((["phone1", "name"], [int(NUMBER), CANARY], [SPELLINGS[1], CANARY], [OTHER, "Bob"])):
            sheet.write_row(at, 0, row)
    return out.getvalue()


FILES = {
    "utf-8": LIST.encode(),
    "utf-8 with a mark": LIST.encode("utf-8-sig"),
    "utf-16": LIST.encode("utf-16"),
    "windows-1252": LIST.encode("cp1252"),
    "gzip": gzip.compress(LIST.encode()),
    "a workbook": workbook(),
    "untidy": LIST.encode() + b'"open,\n\n',
}


def contents(path: Path) -> Iterator[bytes]:
    """The file's bytes, and what they are packed from, if they are."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        with duckdb.connect() as connection:
            yield str(connection.execute("FROM read_parquet(?)", [str(path)]).fetchall()).encode()
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def places(folder: Path) -> set[str]:
    """Where the number or the canary stands: the catalog's files by name, those of the store by what they are of."""
    found = set()
    for path in (each for each in folder.rglob("*") if each.is_file()):
        if any(trace in content for content in contents(path) for trace in TRACES):
            found.add(path.name.split("-")[0] if path.parent.parent.name == "files" else path.name)
    return found


def spread(client: Client) -> None:
    """The number goes wherever requests can bring it."""
    made = [client.create(file, headers={"Idempotency-Key": name}) for name, file in FILES.items()]
    assert made[0].append(f"phone1,name\n{NUMBER},{CANARY}\n447400123450,Ed\n").status_code == 200
    assert made[1].replace(LIST).status_code == 200
    assert client.http.delete(f"/audiences/{made[2].id}").status_code == 200
    for kind in ("contacts", "rejects"):
        for media_type in WHOLE:
            path = f"/audiences/{made[0].id}/{kind}"
            assert client.http.get(path, headers={"Accept": media_type}).status_code == 200
    made[0].contacts(search=CANARY)
    made[0].contacts(phone=NUMBER)
    check = client.post(LIST, dry_run="true", headers={"Idempotency-Key": "check"})
    no_number = client.post(f"{NUMBER},{CANARY}\n", headers={"Idempotency-Key": "no header"})
    phones = {"phones": [NUMBER, f"x {NUMBER} {CANARY}"]}
    suppressed = client.http.post("/suppressions", json=phones, headers={"Idempotency-Key": "suppress"})
    assert [answer.status_code for answer in (check, no_number, suppressed)] == [200, 400, 200]
    client.create(LIST)


@pytest.mark.embedded
def test_nothing_of_an_erased_number_is_in_any_file_of_the_data_folder(
    start: Callable[..., Service], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In whatever encoding or format it came, as a contact, a second phone, a reject or a file under check."""
    running, folder = start(), tmp_path / "data"
    with running.client(scopes=(READ, WRITE, PEOPLE)) as client, signed_in(running, client.account) as browser:
        spread(client)
        drafts = [uploaded(browser, file, f"{number}.csv") for number, file in enumerate(FILES.values())]
        assert browser.get(drafts[0]).status_code == 200
        client.get(f"/contacts/{NUMBER}")
        before = places(folder)
        assert before - {"catalog.sqlite"} == {"contacts", "rejects", "suppressions", "draft", "catalog.sqlite-wal"}

        assert client.http.delete(f"/contacts/{NUMBER}").status_code == 200

        assert places(folder) == set()
        assert list((folder / "spool").iterdir()) == []
        assert browser.get(drafts[0]).status_code == 404
    written = capfd.readouterr().err
    assert not any(trace.decode("utf-8", "replace") in written for trace in TRACES[::2])
