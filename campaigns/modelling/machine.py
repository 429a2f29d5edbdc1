"""The machine: any requests in any order, by two accounts; after each, the API says what the model says."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from audiences.parts import Parts
from campaigns.modelling import account as model
from campaigns.modelling.account import MALFORMED, Account, Audience, Line
from campaigns.modelling.service import Answer, Asking, Kept, Side

PHONES = ("442079832100", "31612345678", "12125552368", "80012345678", "447400123456")
SPELLINGS = (*PHONES, "+44 20 7983 2100", "0044 (0)20 7983 2100", "'31612345678", "+1 (212) 555-2368", "447400123456.0")
NO_PHONES = ("", "call me", "44207", "999123456789", "4.42E+11", "4420798321001234", "444555555555")
NAMES = ("spring", "Spring sale", "Été", "a%b_c", "ß", "x" * 255)

lines = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS + NO_PHONES)),
        st.sampled_from([",Ann", ",Bob", ",", "", MALFORMED]),
    ),
    min_size=1,
    max_size=8,
)
sides, which = st.integers(0, 1), st.integers(0, 5)


class Machine(RuleBasedStateMachine):
    """One talk of two accounts with a running service; `service` and `tried` are set before the first."""

    parts: ClassVar[Parts]
    http: ClassVar[httpx.Client]
    tried: ClassVar[Counter[str]]
    numbers = itertools.count(1)

    @initialize(bodies=st.tuples(lines, lines))
    def begin(self, bodies: tuple[list[Line], list[Line]]) -> None:
        """Two new accounts, of which each begins with an audience, if there is a number in its file."""
        self.accounts = [Account(), Account()]
        self.sides = [self.new_side(), self.new_side()]
        self.tried["talks"] += 1
        for side, body in enumerate(bodies):
            self.create(side, body, "first", keyed=False, dry=0)

    def new_side(self) -> Side:
        """A new account with its keys."""
        from audiences import clock
        from audiences.store import accounts

        with self.parts.database.write() as connection:
            owner = accounts.add(connection, f"account {next(self.numbers)}", clock.now())
        scopes = ("audiences:read", "audiences:write", "people")
        _, key = self.parts.keys.create(owner, "all", scopes=scopes, days=1)
        _, read_only = self.parts.keys.create(owner, "read", scopes=("audiences:read",), days=1)
        return Side(key, read_only)

    def ask(self, side: int, asking: Asking, *, keyed: bool = False) -> Answer:
        """Sends a request; one with an `Idempotency-Key` may be sent again later."""
        once = f"key {next(self.numbers)}" if keyed else None
        self.tried["requests"] += 1
        answer = asking.send(self.http, self.sides[side].key, once)
        assert not answer.replayed
        if once is not None and answer.status in {200, 201, 400}:
            self.sides[side].kept.append(Kept(once, asking, answer))
        return answer

    def get(self, side: int, path: str) -> Any:  # noqa: ANN401 - whatever the answer holds
        """The data of an answer that has to be a 200."""
        answer = self.ask(side, Asking("GET", path))
        assert answer.status == HTTPStatus.OK, answer
        return answer.body["data"]

    def some(self, side: int, number: int) -> Audience:
        """One of the account's audiences, deleted ones among them."""
        known = self.accounts[side].audiences
        return known[number % len(known)]

    def has_some(self) -> bool:
        """Whether both accounts have audiences, so that there is one to choose."""
        return all(each.audiences for each in getattr(self, "accounts", [Account()]))

    @rule(side=sides, body=lines, name=st.sampled_from(NAMES), keyed=st.booleans(), dry=st.sampled_from([0, 0, 0, 1]))
    def create(self, side: int, body: list[Line], name: str, *, keyed: bool, dry: int) -> None:
        """POST /audiences."""
        judged = self.accounts[side].judge(body, (), 1)
        fields = (("name", name), ("dry_run", "true")) if dry else (("name", name),)
        answer = self.ask(side, Asking("POST", "/audiences", fields, model.written(body)), keyed=keyed)
        if self.taken(answer, judged, name, dry=bool(dry)):
            assert (answer.status, list(answer.body["data"])) == (201, ["id"])
            made = Audience(answer.body["data"]["id"], name, [judged], ever=[judged])
            self.accounts[side].audiences.append(made)
            self.tried["audiences"] += 1
            self.check_audience(side, made)

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, body=lines, put=st.booleans(), keyed=st.booleans(), dry=st.sampled_from([0, 0, 0, 1]))
    def change_by_file(self, side: int, at: int, body: list[Line], *, put: bool, keyed: bool, dry: int) -> None:
        """PUT, or an append."""
        audience = self.some(side, at)
        contacts = () if put else tuple(audience.contacts())
        position = 1 if put else max((file.position for file in audience.files), default=0) + 1
        judged = self.accounts[side].judge(body, contacts, position)
        path = f"/audiences/{audience.id}" + ("" if put else "/contacts")
        fields = (("dry_run", "true"),) if dry else ()
        answer = self.ask(side, Asking("PUT" if put else "POST", path, fields, model.written(body)), keyed=keyed)
        if audience.deleted:
            assert answer.status == HTTPStatus.NOT_FOUND
        elif self.taken(answer, judged, audience.name, dry=bool(dry)):
            assert (answer.status, answer.body["data"]) == (200, {"id": audience.id})
            audience.change([judged] if put else [*audience.files, judged])
            self.tried["replacements" if put else "appends"] += 1
        self.check_audience(side, audience)

    def taken(self, answer: Answer, judged: model.File, name: str, *, dry: bool) -> bool:
        """Whether the file is to be stored; the answer to one that is not has the report."""
        report = Audience("", name, [judged]).report()
        del report["id"]
        if dry:
            data = answer.body["data"]
            assert (answer.status, {field: data[field] for field in report}) == (200, report)
            assert data["sample_contacts"] == [model.contact(judged, row) for row in judged.accepted]
            assert data["sample_rejects"] == [model.reject(judged, row) for row in judged.rejects]
            self.tried["dry runs"] += 1
            return False
        if not judged.accepted:
            assert (answer.status, answer.code) == (400, "no_valid_rows"), answer
            told = answer.body["report"]
            counts = ("rows", "accepted", "duplicates", "suppressed", "rejected", "blank_rows")
            assert [told[count] for count in counts] == [report[count] for count in counts]
            return False
        return True

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, name=st.sampled_from(NAMES), keyed=st.booleans())
    def rename(self, side: int, at: int, name: str, *, keyed: bool) -> None:
        """PATCH."""
        audience = self.some(side, at)
        answer = self.ask(side, Asking("PATCH", f"/audiences/{audience.id}", json={"name": name}), keyed=keyed)
        assert answer.status == (404 if audience.deleted else 200)
        if not audience.deleted:
            audience.name = name

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, keyed=st.booleans())
    def delete(self, side: int, at: int, *, keyed: bool) -> None:
        """DELETE."""
        audience = self.some(side, at)
        answer = self.ask(side, Asking("DELETE", f"/audiences/{audience.id}"), keyed=keyed)
        assert answer.status == (404 if audience.deleted else 200)
        if not audience.deleted:
            audience.change([], deleted=True)
            self.tried["deletions"] += 1
        self.check_audience(side, audience)

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, keyed=st.booleans())
    def restore(self, side: int, at: int, *, keyed: bool) -> None:
        """The last change is undone, and those before it by more of this."""
        audience = self.some(side, at)
        answer = self.ask(side, Asking("POST", f"/audiences/{audience.id}/restore"), keyed=keyed)
        if audience.before:
            assert answer.status == HTTPStatus.OK
            audience.undo()
            self.tried["restorations"] += 1
        else:
            assert (answer.status, answer.code) == (400, "nothing_to_restore")
        self.check_audience(side, audience)

    @rule(
        side=sides, texts=st.lists(st.sampled_from(SPELLINGS + NO_PHONES), min_size=1, max_size=3),
        add=st.booleans(), keyed=st.booleans(),
    )  # fmt: skip
    def suppress(self, side: int, texts: list[str], *, add: bool, keyed: bool) -> None:
        """Numbers are put on the do-not-contact list, or taken from it."""
        listed = self.accounts[side].suppressed
        phones = [phone for phone in (model.verdict(text).phone for text in texts) if phone is not None]
        method = "POST" if add else "DELETE"
        answer = self.ask(side, Asking(method, "/suppressions", json={"phones": texts}), keyed=keyed)
        if not phones:
            assert (answer.status, answer.code) == (400, "no_valid_rows")
            return
        changed = {phone for phone in phones if (phone in listed) != add}
        assert (answer.status, answer.body["data"]["added" if add else "removed"]) == (200, len(changed))
        for phone in changed:
            if add:
                listed[phone] = True
            else:
                del listed[phone]
        self.tried["suppressions"] += 1
        shown = self.get(side, "/suppressions")
        assert sorted(each["phone"] for each in shown) == sorted(
            phone for phone, is_shown in listed.items() if is_shown
        )

    @rule(side=sides, phone=st.sampled_from(PHONES), keyed=st.booleans())
    def erase(self, side: int, phone: str, *, keyed: bool) -> None:
        """A person is erased, and nothing is held of them any more."""
        self.disclose(side, phone)
        expected = self.accounts[side].erase(phone)
        for kept in self.sides[side].kept:
            kept.bare = True
        answer = self.ask(side, Asking("DELETE", f"/contacts/{phone}"), keyed=keyed)
        assert (answer.status, answer.body["data"]) == (200, expected), f"{answer}, expected {expected}"
        self.disclose(side, phone)
        self.tried["erasures"] += 1

    @rule(side=sides, phone=st.sampled_from(PHONES))
    def disclose(self, side: int, phone: str) -> None:
        """What is held on a number, in every version that can be had back."""
        held = self.get(side, f"/contacts/{phone}")
        found = tuple(
            sorted((row["audience"], row["file"], row["row"]) for row in held[kind]) for kind in ("contacts", "rejects")
        )
        assert found == self.accounts[side].held(phone), f"{found}, expected {self.accounts[side].held(phone)}"
        assert (held["suppressed"], held["cells"]) == (phone in self.accounts[side].suppressed, [])

    @precondition(lambda self: any(side.kept for side in self.sides))
    @rule(side=sides, at=st.integers(0, 50))
    def repeat(self, side: int, at: int) -> None:
        """A request that is sent again is answered again, and not carried out again."""
        kept = self.sides[side].kept
        if kept:
            chosen = kept[at % len(kept)]
            answer = chosen.asking.send(self.http, self.sides[side].key, chosen.once)
            assert (answer.status, answer.replayed) == (chosen.answer.status, True), answer
            assert unquoted(answer) == unquoted(chosen.answer)
            assert chosen.bare or answer.body == chosen.answer.body
            self.tried["repeated requests"] += 1

    @precondition(lambda self: any(side.kept for side in self.sides))
    @rule(side=sides, at=st.integers(0, 50), body=lines)
    def misuse(self, side: int, at: int, body: list[Line]) -> None:
        """A key that was used for another request is refused."""
        kept = self.sides[side].kept
        if kept:
            asking = Asking("POST", "/audiences", (("name", f"misuse {at}"),), model.written(body))
            answer = asking.send(self.http, self.sides[side].key, kept[at % len(kept)].once)
            assert (answer.status, answer.code, answer.replayed) == (422, "idempotency_key_reused", False)
            self.tried["misused keys"] += 1

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, body=lines)
    def look_abroad(self, side: int, at: int, body: list[Line]) -> None:
        """Another account's audience is answered like one that there is not."""
        audience = self.some(1 - side, at)
        for asking in every_way(audience.id, body):
            answer = self.ask(side, asking)
            path = asking.path.replace(audience.id, "1")
            unknown = self.ask(side, Asking(asking.method, path, asking.fields, asking.file, asking.json))
            assert answer == unknown
            assert answer.status == HTTPStatus.NOT_FOUND
        self.tried["looks abroad"] += 1

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, body=lines)
    def write_with_a_key_that_reads(self, side: int, at: int, body: list[Line]) -> None:
        """A key that may only read changes nothing."""
        audience = self.some(side, at)
        for asking in every_way(audience.id, body):
            status = asking.send(self.http, self.sides[side].read_only_key).status
            assert status == ((404 if audience.deleted else 200) if asking.method == "GET" else 403)
        self.check_audience(side, audience)

    @rule(side=sides, limit=st.integers(1, 3), name=st.sampled_from(["", "SPRING", "é", "%", "_", "SS", "none"]))
    def list_by_name(self, side: int, limit: int, name: str) -> None:
        """The list, page by page, of what contains a text in whatever case."""
        items = self.paged(side, f"/audiences?limit={limit}&name={name.replace('%', '%25')}")
        live = self.accounts[side].live()
        expected = [each.id for each in live if name.casefold() in each.name.casefold()]
        assert [item["id"] for item in items] == expected, f"{items}, expected {expected}"

    @precondition(lambda self: self.has_some())
    @rule(side=sides, at=which, limit=st.integers(1, 3))
    def page(self, side: int, at: int, limit: int) -> None:
        """Contacts and rejects, page by page."""
        audience = self.some(side, at)
        if not audience.deleted:
            self.check_rows(side, audience, f"?limit={limit}")

    def paged(self, side: int, path: str) -> list[dict[str, Any]]:
        """All items of a list, page by page."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self.ask(side, Asking("GET", path + cursor))
            assert answer.status == HTTPStatus.OK, answer
            items += answer.body["data"]
            if "next_cursor" not in answer.body:
                return items
            assert answer.body["data"], "a page with nothing on it, and more behind it"
            cursor = f"{'&' if '?' in path else '?'}cursor={answer.body['next_cursor']}"

    @invariant()
    def each_list_is_its_account_s(self) -> None:
        """Both lists hold what they have to, in their order."""
        for side, account in enumerate(getattr(self, "accounts", [])):
            expected = [(each.id, each.name, len(list(each.contacts()))) for each in account.live()]
            found = [(item["id"], item["name"], item["user_count"]) for item in self.get(side, "/audiences")]
            assert found == expected, f"{found}, expected {expected}"

    def check_audience(self, side: int, audience: Audience) -> None:
        """Its report and rows are those of the model."""
        if audience.deleted:
            assert self.ask(side, Asking("GET", f"/audiences/{audience.id}")).status == HTTPStatus.NOT_FOUND
            return
        report, expected = self.get(side, f"/audiences/{audience.id}"), audience.report()
        assert {field: report.get(field) for field in expected} == expected, f"{report}, expected {expected}"
        assert ("erased" in report) == ("erased" in expected)
        parts = ("accepted", "duplicates", "suppressed", "rejected")
        for counted in (report, *report["files"]):
            assert counted["rows"] == sum(counted[part] for part in parts) + counted.get("erased", 0)
        self.check_rows(side, audience, "")

    def check_rows(self, side: int, audience: Audience, query: str) -> None:
        """Contacts, without those that were suppressed since, and rejects are those of the model."""
        suppressed = self.accounts[side].suppressed
        shown = [(file, row) for file, row in audience.contacts() if row.judged.phone not in suppressed]
        contacts = [model.contact(file, row) for file, row in shown]
        assert self.paged(side, f"/audiences/{audience.id}/contacts{query}") == contacts
        rejects = [model.reject(file, row) for file in audience.files for row in file.rejects]
        found = self.paged(side, f"/audiences/{audience.id}/rejects{query}")
        assert found == rejects, f"{found}, expected {rejects}"

    def teardown(self) -> None:
        """In the end all audiences are what they have to be."""
        for side, account in enumerate(getattr(self, "accounts", [])):
            for audience in account.audiences:
                self.check_audience(side, audience)


def every_way(audience_id: str, body: Sequence[Line]) -> list[Asking]:
    """Every request about an audience."""
    path, file = f"/audiences/{audience_id}", model.written(body)
    reads = [Asking("GET", path), Asking("GET", f"{path}/contacts"), Asking("GET", f"{path}/rejects")]
    by_file = [Asking("PUT", path, file=file), Asking("POST", f"{path}/contacts", file=file)]
    others = [Asking("PATCH", path, json={"name": "x"}), Asking("DELETE", path), Asking("POST", f"{path}/restore")]
    return reads + by_file + others


def unquoted(answer: Answer) -> tuple[Any, ...]:
    """An answer without what may quote rows."""
    data = answer.body.get("data")
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if not name.startswith("sample_")}
    return answer.status, data, [(each["code"], each.get("field")) for each in answer.body.get("errors", [])]
