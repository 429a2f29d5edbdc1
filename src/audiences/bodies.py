"""The bodies that routes take, as the API's description shows them: by media type, the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
Body = Mapping[str, Schema]

MULTIPART, JSON = "multipart/form-data", "application/json"

FIELDS: Schema = {
    "audience_file": {
        "type": "string",
        "format": "binary",
        "contentMediaType": "application/octet-stream",
        "description": "A CSV or Excel file with a column named phone1 that holds phone numbers with the full "
        "country code, e.g. 442079832100. Also .ods, .gz and .zip. Where the operator allows hosts, text with an "
        "https:// URL of such a file.",
        "examples": ["phone1,name\n442079832100,Ann\n"],
    },
    "phone_column": {"type": "string", "description": "Another column that plays phone1.", "examples": ["mobile"]},
    "default_region": {
        "type": "string",
        "pattern": "^[A-Za-z]{2}$",
        "description": "The region whose national numbers are let in.",
        "examples": ["GB"],
    },
    "sheet": {"type": "string", "description": "The workbook's sheet, by name.", "examples": ["Customers"]},
    "dry_run": {
        "enum": ["true", "false"],
        "description": "true: check the file, store nothing, answer the report.",
    },
}
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": "\\S",
    "description": "The audience's name.",
    "examples": ["NE_USA-above50"],
}
PHONES: Schema = {
    "type": "array",
    "items": {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}]},
    "minItems": 1,
    "maxItems": 100_000,
    "description": "Phone numbers, judged as a file's are.",
    "examples": [["442079832100"]],
}

FILE_FORM: Schema = {"type": "object", "required": ["audience_file"], "properties": FIELDS}
PHONES_OBJECT: Schema = {
    "type": "object",
    "required": ["phones"],
    "properties": {
        "phones": PHONES,
        "default_region": FIELDS["default_region"],
        "dry_run": {"type": "boolean", "description": "true: check the numbers, change nothing, answer the report."},
    },
}

NEW_AUDIENCE: Body = {
    MULTIPART: {"type": "object", "required": ["name", "audience_file"], "properties": {"name": NAME, **FIELDS}}
}
FILE: Body = {MULTIPART: FILE_FORM}
RENAMING: Body = {JSON: {"type": "object", "required": ["name"], "properties": {"name": NAME}}}
PHONES_OR_FILE: Body = {JSON: PHONES_OBJECT, MULTIPART: FILE_FORM}
