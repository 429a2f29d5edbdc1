"""The management console: pages made on the server, for people who run campaigns.

One visit, top to bottom, is the order in which to read the package::

    front     a path of the console: lets the visit in, hands it to its handler, dresses the answer
    table     every page, screen by screen: the one list that the server serves, the navigation shows, the tests walk
              screens: `audiences` (the list), `audience*` (one of them), `new*` (a file under check), `keys`,
              `suppressions`, `usage`, `account`, `users`, `log` (the audit log)
    sign_in   the pages before there is a session: sign in, the first password, sign out; and the way home
    door      who visits: session, role, where a form came from, its token
    trouble   the page of every refusal and every fault
    routes    what a page is (`Page`) and what its handler gets (`Visit`)
    agents    which browser a session was begun in, in plain words
    cookies   what the browser keeps: its session, and the notice that the next page shows
    render    templates to HTML; `shapes` is how numbers, bytes and times are written
    assets    what pages load: the stylesheet, the scripts; each by its content's hash

A screen is a module with `PAGES: tuple[Page, ...]` and a line in `table`; its templates extend `base.html` and build on
the macros of `parts.html`, which they find under the name `ui`.

Imports point down this list only. Nothing here does what the API cannot: screens call the same parts.
"""
