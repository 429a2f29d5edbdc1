"""Statements on people who sign in. What `find` and `every` return holds no secret; `secrets_of` alone does."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Select, and_, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import accounts, users

# Wrong codes in a row after which none is taken any more. Three of a million codes do at any time, so guessing succeeds
# once in 6,667 times; NIST SP 800-63B-4 allows 100 (section 3.2.2).
MAX_WRONG_CODES = 50

WORKING_ADMIN = and_(users.c.role == "admin", users.c.disabled_time.is_(None), users.c.password_hash.is_not(None))


def add(connection: Connection, values: dict[str, object]) -> None:
    """Stores a user; `values` are the columns of `schema.users`. Raises sqlalchemy's IntegrityError: email taken."""
    connection.execute(insert(users).values(**values))


def shown() -> Select[tuple[object, ...]]:
    """Users as anybody of their account may see them, with the account's name."""
    kept = ("id", "email", "role", "time_zone", "wrong_codes", "created_time", "last_sign_in_time", "disabled_time")
    told = (
        users.c.account_id.label("account"),
        accounts.c.name.label("account_name"),
        users.c.totp_secret.is_not(None).label("has_totp"),
        users.c.password_hash.is_not(None).label("has_password"),
    )
    joined = users.join(accounts, users.c.account_id == accounts.c.id)
    return select(*(users.c[name] for name in kept), *told).select_from(joined)


def find(connection: Connection, user_id: str) -> RowMapping | None:
    """The user of that id, or None."""
    return connection.execute(shown().where(users.c.id == user_id)).mappings().first()


def find_by_email(connection: Connection, email: str) -> RowMapping | None:
    """The user of that address, as `emails.checked` writes it, or None."""
    return connection.execute(shown().where(users.c.email == email)).mappings().first()


def every(connection: Connection, account: int | None) -> list[RowMapping]:
    """The account's users, or all of them, oldest first."""
    chosen = shown().order_by(users.c.created_time, users.c.id)
    if account is not None:
        chosen = chosen.where(users.c.account_id == account)
    return list(connection.execute(chosen).mappings())


def secrets_of(connection: Connection, *, user_id: str | None = None, email: str | None = None) -> RowMapping | None:
    """All columns of the user of that id or address, the hash of the password among them, or None."""
    condition = users.c.id == user_id if email is None else users.c.email == email
    return connection.execute(select(users).where(condition)).mappings().first()


def change(connection: Connection, user_id: str, *only_if: ColumnElement[bool], **values: object) -> bool:
    """Sets columns of one user, if all of `only_if` hold; whether they did."""
    condition = and_(users.c.id == user_id, *only_if)
    return connection.execute(update(users).where(condition).values(**values)).rowcount == 1


def change_working(connection: Connection, user_id: str, **values: object) -> bool:
    """Sets columns of one user who is not disabled; whether they are not."""
    return change(connection, user_id, users.c.disabled_time.is_(None), **values)


def working_admins(connection: Connection, account: int) -> list[str]:
    """Ids of the account's admins who can sign in; their rows stay as they are until the transaction ends."""
    chosen = select(users.c.id).where(users.c.account_id == account, WORKING_ADMIN).with_for_update()
    return list(connection.execute(chosen).scalars())


def has_any_password(connection: Connection) -> bool:
    """Whether anybody ever set a password."""
    return connection.execute(select(users.c.id).where(users.c.password_hash.is_not(None)).limit(1)).first() is not None


def admit(connection: Connection, known: RowMapping, step: int | None, **values: object) -> bool:
    """Sets columns of a user whose password was found right, if all that it was judged by still holds; whether it did.

    `known` is what `secrets_of` returned before; `step` that of the code, if one was needed, which is used up by it.
    """
    conditions = still(known)
    if step is not None:
        conditions.append(or_(users.c.totp_used.is_(None), users.c.totp_used < step))
        conditions.append(users.c.wrong_codes < MAX_WRONG_CODES)
        values |= {"totp_used": step, "wrong_codes": 0}
    return change(connection, known["id"], *conditions, **values)


def count_wrong_code(connection: Connection, known: RowMapping) -> int | None:
    """Counts a wrong code; how many there are now. None, and none is counted, if what it was judged by has changed."""
    counted = update(users).where(users.c.id == known["id"], *still(known)).values(wrong_codes=users.c.wrong_codes + 1)
    return connection.execute(counted.returning(users.c.wrong_codes)).scalar()


def still(known: RowMapping) -> list[ColumnElement[bool]]:
    """That the user is not disabled, and the password and the secret of the codes are those of before."""
    return [
        users.c.disabled_time.is_(None),
        users.c.password_hash == known["password_hash"],
        users.c.totp_secret.is_not_distinct_from(known["totp_secret"]),
    ]
