"""Encodings are found out from the whole file; what they cannot decode costs its own record."""

from __future__ import annotations

import pytest

from test_tables_reading import read

NAMES = {
    "cp1250": ["Łukasz Wójcik", "Żaneta Dąbrowska", "Štěpánka Nováková", "Győző Szűcs", "Zażółć Gęślą", "Jiří Dvořák"],
    "cp1251": ["Иван Петров", "Мария Сидорова", "Екатеринбург", "Ольга Кузнецова"],
    "cp1252": ["José García", "François Lefèvre", "Jürgen Müller", "Ángel Núñez", "São Paulo"],
    "cp1253": ["Γιώργος Παπαδόπουλος", "Μαρία", "Θεσσαλονίκη", "Ελένη Νικολάου"],
    "cp1254": ["Şükrü Yılmaz", "İbrahim Çelik", "Ayşe Öztürk", "Gülşen Doğan", "Muğla"],
    "cp1255": ["דוד כהן", "משה לוי", "ירושלים", "תל אביב"],
    "cp1256": ["محمد علي", "فاطمة", "القاهرة", "أحمد", "الرياض"],
    "cp1257": [
        "Jānis Bērziņš",
        "Ģirts Ķauķis",
        "Žydrūnas Šimkutė",
        "Kęstutis",
        "Agnė Kazlauskienė",
        "Rīga",
        "Liepāja",
        "Šiauliai",
        "Kristīne Kalniņa",
        "Jūratė Žukauskaitė",
    ],
    "iso8859-1": ["José García", "François Lefèvre", "Jürgen Müller", "São Paulo"],
    "iso8859-2": ["Łukasz Wójcik", "Żaneta Dąbrowska", "Štěpánka Nováková", "Győző Szűcs", "Świętek"],
    "iso8859-7": ["Γιώργος Παπαδόπουλος", "Μαρία", "Θεσσαλονίκη", "Ελένη Νικολάου"],
    "iso8859-9": ["Şükrü Yılmaz", "İbrahim Çelik", "Ayşe Öztürk", "Gülşen Doğan"],
    "iso8859-15": ["José García", "François Lefèvre", "Jürgen Müller", "São Paulo"],
    "utf-8": ["José García", "Łukasz", "Иван", "דוד"],
    "utf-8-sig": ["José García", "Łukasz", "Иван", "דוד"],
    "utf-16": ["José García", "Łukasz", "Иван", "דוד", "𝔘"],
    "utf-16-le": ["José García", "Łukasz", "Иван", "דוד"],
    "utf-16-be": ["José García", "Łukasz", "Иван", "דוד"],
    "utf-32": ["José García", "Łukasz"],
}


@pytest.mark.parametrize("codec", NAMES)
def test_names_arrive_as_they_were_written(codec: str) -> None:
    names = NAMES[codec]
    text = "phone1;name\n" + "".join(f"442079832100;{name}\n" for name in names)
    found = read(text.encode(codec))
    assert [name for _, _, name in found.rows] == names
    assert found.malformed == []


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"phone1\n4420\n", "utf-8"),
        ("\ufeffphone1\n4420\n".encode(), "utf-8"),
        ("phone1\n4420\n".encode("utf-16-le"), "utf-16-le"),
        ("phone1,n\n4420,José\n4421,García\n".encode("cp1252"), "cp1252"),
    ],
)
def test_the_encoding_is_told(data: bytes, encoding: str) -> None:
    assert read(data).table.encoding == encoding


@pytest.mark.parametrize(
    ("codec", "names"),
    [
        ("cp1257", ["Agnė Kazlauskienė", "Žydrūnas Šimkutė", "Kęstutis", "Šiauliai"]),
        ("cp1252", ["Guðrún Þórðardóttir", "Sigríður Óladóttir", "Björk Guðmundsdóttir"]),
    ],
)
def test_lithuanian_and_icelandic_are_told_apart(codec: str, names: list[str]) -> None:
    found = read(("phone1\n" + "\n".join(names)).encode(codec))
    assert [name for _, name in found.rows] == names


def test_a_damaged_utf8_file_loses_the_damaged_record_only() -> None:
    good = "".join(f"4420,José é {n}\n" for n in range(20)).encode()
    found = read(b"phone1,n\n" + good + b"4421,Jos\xe9\n" + "4422,\ufffd\n".encode())
    assert found.malformed == [(22, "4421,Jos\ufffd")]
    assert found.rows[-1] == (23, "4422", "\ufffd")
    assert found.table.encoding == "utf-8"


def test_a_late_byte_decides_about_the_whole_file() -> None:
    found = read(b"phone1,n\n" + b"4420,Anna\n" * 60_000 + "4421,José García\n".encode("cp1252"))
    assert found.rows[-1] == (60_002, "4421", "José García")


def test_a_byte_that_the_encoding_lacks_costs_its_record() -> None:
    names = "".join(f"4420,José García {n}\n" for n in range(9)).encode("cp1252")
    found = read(b"phone1,n\n" + names + b"4421,\x81\n")
    assert found.malformed == [(11, "4421,\ufffd")]


def test_a_lone_surrogate_and_an_odd_last_byte_cost_their_records() -> None:
    text = "\ufeffphone1,n\n4420,a\n4421,".encode("utf-16-le") + b"\x00\xd8" + "\n4422,b".encode("utf-16-le") + b"\n"
    found = read(text)
    assert found.rows == [(2, "4420", "a")]
    assert [row for row, _ in found.malformed] == [3, 4]


def test_what_no_character_has_in_four_bytes_costs_its_record() -> None:
    """It was a fault of the server's before."""
    text = "\ufeffphone1,n\n4420,a\n4421,".encode("utf-32-le") + b"\xff" * 4 + "\n4422,b\n".encode("utf-32-le")
    found = read(text)
    assert (found.rows, found.malformed) == ([(2, "4420", "a"), (4, "4422", "b")], [(3, "4421,\ufffd")])
